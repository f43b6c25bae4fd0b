//! Reads the images of stages where they are: in the engine, in the registry or in the OCI layout.

use std::sync::Arc;

use super::Target;
use crate::fault::Result;
use crate::freshness::planner::Workspace;
use crate::outside::place::ImagePlace;
use crate::outside::push;
use crate::verify::at_place;
use crate::verify::layers::{ContentRule, Digest, FoundImages, Layer, Limits, Reading};
/// Reads the images of `targets`, in their order.
pub(super) fn read(
    work: &Workspace,
    targets: &[Target],
    rules: &mut [Box<dyn ContentRule>],
    known: &dyn Fn(&Digest) -> Option<Arc<Layer>>,
) -> Result<Vec<FoundImages>> {
    // The clearing up after a build must not remove what is read here.
    let _graph = work.state.share_if_free();
    let mut in_engine = Vec::new();
    let mut in_layout = Vec::new();
    for target in targets {
        match &target.place {
            ImagePlace::Engine(reference) => in_engine.push(reference.clone()),
            ImagePlace::Layout(digest) => in_layout.push(digest.clone()),
            ImagePlace::Registry(reference) => {
                in_layout.push(push::fetch(
                    work.registries()?,
                    &work.layout,
                    reference,
                    &|_| false,
                )?);
            }
        }
    }
    let mut of_engine = if in_engine.is_empty() {
        Vec::new()
    } else {
        let reading = Reading {
            limits: Limits::default(),
            rules: &mut *rules,
            known,
        };
        reading.engine(&work.engine, &in_engine)?
    }
    .into_iter();
    let mut of_layout = if in_layout.is_empty() {
        Vec::new()
    } else {
        let reading = Reading {
            limits: Limits::default(),
            rules,
            known,
        };
        at_place::from_layout(work, &in_layout, reading)?
    }
    .into_iter();
    let in_order = targets.iter().map(|target| match target.place {
        ImagePlace::Engine(_) => of_engine.next(),
        ImagePlace::Registry(_) | ImagePlace::Layout(_) => of_layout.next(),
    });
    Ok(in_order.flatten().collect())
}
