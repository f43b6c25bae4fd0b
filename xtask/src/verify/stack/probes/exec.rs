//! The probe that runs a command in a service's container.

use std::time::Instant;

use super::{Ground, ProbeVerdict, shortened};

impl Ground<'_> {
    pub(super) fn exec(
        &self,
        service: &str,
        command: &[String],
        exit: i64,
        output: Option<&str>,
        until: Instant,
    ) -> ProbeVerdict {
        let shown = command.join(" ");
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        // The last complete answer, in case the time ends during another attempt.
        let mut before = None;
        self.until_it_works(until, || {
            let container = match self.container(service) {
                Ok(container) => container,
                Err(verdict) => return Ok(verdict),
            };
            let (said, in_time) = match self.in_container(&container.id, &words, until) {
                Ok(said) => said,
                Err(verdict) => return Ok(verdict),
            };
            let text = said.text();
            let words = match shortened(&text) {
                text if text.is_empty() => "said nothing".to_owned(),
                text => format!("said: {text}"),
            };
            if !in_time {
                let late = format!("`{shown}` did not end in time; it {words}");
                return Err(before.take().unwrap_or(late));
            }
            let code = said.status.code().map_or(-1, i64::from);
            if code != exit {
                let wrong =
                    format!("`{shown}` ended with exit code {code}, not {exit}, and {words}");
                before = Some(wrong.clone());
                return Err(wrong);
            }
            match output.filter(|output| !text.contains(*output)) {
                Some(output) => {
                    let wrong = format!("`{shown}` does not print {output:?}: it {words}");
                    before = Some(wrong.clone());
                    Err(wrong)
                }
                None => Ok(ProbeVerdict::passed(format!(
                    "`{shown}` ended with exit code {code}"
                ))),
            }
        })
    }
}
