//! The image or stage that a stage stands on, and the variables and triggers it gets from there.

use super::instructions::Instruction;
use super::reading::{BaseKind, BaseUse, TakenFrom};
use super::scope::StageScope;
use super::stages::{self, Base, Stage};
use super::walk::{Done, Walk};
use reference::platform::Platform;

impl Walk<'_> {
    pub(super) fn base(&mut self, stage: &Stage, line: usize) -> Done {
        let platform = self.platform(stage, line);
        let named_platform = platform.as_deref().or(self.question.platform);
        let windows = named_platform
            .and_then(Platform::read)
            .is_some_and(|p| p.is_windows());
        let replaced = match &stage.base {
            Base::Context(context) => Some(context),
            Base::Stage(base) => self.stages.all[*base].replaced_by.as_ref(),
            _ => None,
        };
        if let Some(context) = replaced {
            let because = format!("the FROM on line {line} builds on the context `{context}`");
            self.whole_context(context, because);
            self.take(
                TakenFrom::Context(context.clone()),
                platform,
                line,
                BaseKind::From,
            );
            let (scope, onbuild) = self.image(context, context);
            if self.has_disputed_triggers(&stage.base, &onbuild) {
                self.doubts.push(format!(
                    "BuildKit's versions differ on whether the triggers of `{context}` run for the FROM on line {line}"
                ));
            }
            return Done {
                scope,
                onbuild,
                windows,
            };
        }
        let budget = self.outer.budget;
        let (scope, onbuild) = match &stage.base {
            Base::Scratch => (StageScope::on_image([], budget), Vec::new()),
            Base::Stage(base) => {
                // The parent was walked before. It is taken out while its triggers are copied.
                if let Some(parent) = self.done[*base].take() {
                    let scope = StageScope::on_stage(&parent.scope, budget);
                    let (onbuild, windows) = (self.triggers(&parent.onbuild), parent.windows);
                    self.done[*base] = Some(parent);
                    return Done {
                        scope,
                        onbuild,
                        windows,
                    };
                }
                (StageScope::on_unknown_image(), Vec::new())
            }
            Base::Image { written, reference } => {
                let name = reference.context_name();
                self.base_use(BaseUse {
                    reference: name.clone(),
                    written: written.clone(),
                    platform,
                    line,
                    kind: BaseKind::From,
                });
                self.image(&reference.canonical(), &name)
            }
            Base::Undecided(why) => {
                self.doubts
                    .push(format!("the FROM on line {line} is open: {why}"));
                (StageScope::on_unknown_image(), Vec::new())
            }
            Base::Context(_) => (StageScope::on_unknown_image(), Vec::new()),
        };
        Done {
            scope,
            onbuild,
            windows,
        }
    }

    /// The platform of a FROM. If it is open, so are the images that the FROM uses.
    fn platform(&mut self, stage: &Stage, line: usize) -> Option<String> {
        let (written, why) = match &stage.platform {
            Ok(None) => return None,
            Ok(Some(written)) => match Platform::read(written) {
                Some(platform) => return Some(platform.spelled()),
                None => (
                    Some(written.clone()),
                    format!("the builder completes `{written}`"),
                ),
            },
            Err(trouble) => (None, stages::clause(trouble)),
        };
        let clause = format!("the platform of the FROM on line {line} is open: {why}");
        self.undecided(clause);
        self.reading.bases_complete = false;
        written
    }

    /// Whether BuildKit's versions run different triggers. Docker 26 runs those of the context that
    /// replaces a stage, newer versions those of the stage itself.
    fn has_disputed_triggers(&self, base: &Base, of_context: &[String]) -> bool {
        let Base::Stage(base) = base else {
            return false;
        };
        let stage = &self.stages.all[*base];
        let own = &self.instructions[stage.from..stage.end];
        !of_context.is_empty() || own.iter().any(|i| matches!(i, Instruction::Onbuild(_)))
    }

    /// The variables and triggers of an image that a stage stands on. `name` is for messages.
    fn image(&mut self, key: &str, name: &str) -> (StageScope, Vec<String>) {
        if let Some(facts) = self.images.get(key) {
            let scope = facts
                .env
                .as_ref()
                .map_or_else(StageScope::on_unknown_image, |env| {
                    let env = env.iter().map(|(k, v)| (k.as_str(), v.as_str()));
                    StageScope::on_image(env, self.outer.budget)
                });
            return (scope, self.triggers(&facts.onbuild));
        }
        if self.seen.images.insert(name.to_owned()) {
            self.reading.onbuild_unknown.push(name.to_owned());
        }
        (StageScope::on_unknown_image(), Vec::new())
    }

    /// The triggers that run in a stage, as far as the budget goes. Each stage of a file may stand
    /// on a stage with many triggers.
    fn triggers(&mut self, of_base: &[String]) -> Vec<String> {
        let budget = self.outer.budget;
        let few: Vec<String> = of_base
            .iter()
            .take_while(|trigger| budget.spend(trigger.len() + 256))
            .cloned()
            .collect();
        if few.len() < of_base.len() {
            let doubt = "there are more ONBUILD triggers to run than can be followed";
            self.doubts.push(doubt.to_owned());
        }
        few
    }
}
