//! Brings images that are elsewhere into the engine.

use std::sync::Arc;

use crate::fault::{Fault, Result};
use crate::freshness::planner::Workspace;
use crate::freshness::record::Record;
use crate::graphfile::spec::StageId;
use crate::outside::engine::Image;
use crate::outside::place::ImagePlace;
use crate::outside::{archive, private};

/// An image in the engine.
pub struct Brought {
    /// The reference that it has there. It is a private one unless the image was there before.
    pub reference: String,
    /// The image.
    pub image: Arc<Image>,
}

/// The private reference of a record's image, in the engine.
pub fn private_reference(work: &Workspace, stage: &str, record: &Record) -> Result<String> {
    let state = work.state.id().map_err(|error| {
        let folder = work.state.path("");
        Fault::lacks(format!("cannot look at the state folder {folder}: {error}"))
    })?;
    Ok(private::reference(&state, stage, &record.key.hex()))
}

/// Brings the image of a record into the engine, unless it is there: pulls it by digest, or loads it
/// from the layout. The image that is there then is the one of the record.
pub fn bring(work: &Workspace, id: StageId, record: &Record) -> Result<Brought> {
    let stage = work.spec.stage(id);
    let place = record.place();
    let reference = match &place {
        ImagePlace::Engine(reference) => reference.clone(),
        _ => private_reference(work, &stage.name, record)?,
    };
    let find = || -> Result<Option<Arc<Image>>> {
        let found = work.engine.images(std::slice::from_ref(&reference))?;
        let image = found.get(&reference).cloned().flatten();
        // An engine names an image by its manifest or by its configuration.
        Ok(image.filter(|it| it.id == record.image || it.id == record.identity()))
    };
    if let Some(image) = find()? {
        return Ok(Brought { reference, image });
    }
    match &place {
        ImagePlace::Engine(_) => {}
        ImagePlace::Registry(there) => {
            for platform in &stage.platforms {
                work.engine.pull(there, Some(platform))?;
            }
            if stage.platforms.is_empty() {
                work.engine.pull(there, None)?;
            }
            work.engine.tag(there, &reference)?;
            // The name that the pull left would keep the image for ever. That it stays does no harm.
            let _ = work.engine.untag(there);
        }
        ImagePlace::Layout(digest) => {
            let calls = work.state.call_folder().map_err(|error| {
                let folder = work.state.path("calls");
                Fault::lacks(format!("cannot make a folder in {folder}: {error}"))
            })?;
            let archive = calls.path().join("image.tar");
            archive::write(&work.layout, &[(digest, &reference)], &archive)?;
            if let Err(fault) = work.engine.load(&archive) {
                // An engine may have named an image that it could not take whole.
                let _ = work.engine.untag(&reference);
                return Err(fault);
            }
        }
    }
    let image = find()?.ok_or_else(|| {
        Fault::failed(format!(
            "the engine was given the image {} of `{}` and does not have it as {reference}",
            record.image, stage.name
        ))
    })?;
    Ok(Brought { reference, image })
}
