//! Images as the engine exports them.

use super::{Endpoint, Engine, StreamedBody, http};
use crate::fault::{Fault, Result};

impl Engine {
    /// A stream with all these images, in the format of `docker save`.
    pub fn export(&self, names: &[String]) -> Result<StreamedBody> {
        let Some(connection) = self.connect()? else {
            let Endpoint::Other(host) = &self.endpoint else {
                unreachable!("it has no socket")
            };
            return Err(Fault::lacks(format!(
                "cannot read images of the Docker engine at {host}: only a unix socket will do; run this on the engine's machine, or point DOCKER_HOST at a local one"
            )));
        };
        let names: Vec<_> = names
            .iter()
            .map(|name| format!("names={}", http::encode(name)))
            .collect();
        let path = format!("/images/get?{}", names.join("&"));
        let answer = connection
            .stream("GET", &path)
            .map_err(|error| self.unreachable(&error))?;
        if answer.status == 200 {
            return Ok(answer.body);
        }
        let status = answer.status;
        let body = answer
            .body
            .short()
            .map_err(|error| self.unreachable(&error))?;
        Err(self.refused("export", "images", status, &body))
    }
}
