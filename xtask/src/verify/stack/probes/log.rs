//! The probe for texts in a service's log.

use std::time::Instant;

use super::{Ground, ProbeVerdict, shortened};

impl Ground<'_> {
    pub(super) fn log(
        &self,
        service: &str,
        contains: Option<&str>,
        never: Option<&str>,
        until: Instant,
    ) -> ProbeVerdict {
        let read = || -> Result<String, ProbeVerdict> {
            let mut whole = String::new();
            for member in self
                .members
                .iter()
                .filter(|member| member.service == service)
            {
                let container = self.container_of(&member.id)?;
                match self.engine.log(&container, None) {
                    Ok(text) => whole.push_str(&text),
                    Err(_) if self.live.is_over() => return Err(ProbeVerdict::halted()),
                    Err(fault) => return Err(ProbeVerdict::not_checked(fault.to_string())),
                }
            }
            Ok(whole)
        };
        self.until_it_works(until, || {
            let whole = match read() {
                Ok(whole) => whole,
                Err(verdict) => return Ok(verdict),
            };
            if let Some(never) = never
                && let Some(line) = whole.lines().find(|line| line.contains(never))
            {
                let line = shortened(line);
                return Ok(ProbeVerdict::failed(format!(
                    "its log contains {never:?}: {line}"
                )));
            }
            match contains.filter(|text| !whole.contains(*text)) {
                Some(text) => Err(format!("its log does not contain {text:?}")),
                None => Ok(ProbeVerdict::passed(match (contains, never) {
                    (Some(text), _) => format!("its log contains {text:?}"),
                    (None, never) => {
                        format!("its log does not contain {:?}", never.unwrap_or_default())
                    }
                })),
            }
        })
    }
}
