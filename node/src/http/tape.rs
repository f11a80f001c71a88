//! Checkpoints, what changed since, and the way back.

use std::cell::RefCell;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use littoral::limits::REVERT_DOCUMENTS;
use serde::Deserialize;

use super::batch::Nothing;
use super::body::JsonText;
use super::failure::{Answer, Asked, Named};
use super::json::Json;
use super::lines::lines;
use super::service::Service;
use crate::tape::{
    CheckpointsShape, Comparing, DifferenceShape, HoldShape, Holding, HoldsShape, Line, Marking,
    Resuming, Reverting, RollingBack, Undoing,
};
use crate::target::Tape;

/// The checkpoint in the path.
#[derive(Debug, Deserialize)]
pub(super) struct OfCheckpoint {
    label: String,
}

/// `GET /checkpoints`
pub(super) async fn list(
    State(service): State<Service>,
    Asked(Nothing {}): Asked<Nothing>,
) -> Answer {
    service
        .call(|local| {
            let checkpoints = local.checkpoints()?;
            Ok(Json(CheckpointsShape { checkpoints }).into_response())
        })
        .await
}

/// `POST /checkpoint`
pub(super) async fn mark(State(service): State<Service>, body: JsonText) -> Answer {
    let asked: Marking = body.parse()?;
    service
        .call(move |local| match asked.automatic {
            false => Ok(Json(local.checkpoint(&asked.label)?).into_response()),
            true => Ok(match local.checkpoint_before(&asked.label)? {
                Some(made) => Json(made).into_response(),
                None => StatusCode::NO_CONTENT.into_response(),
            }),
        })
        .await
}

/// `DELETE /checkpoints/{label}`
pub(super) async fn delete(
    State(service): State<Service>,
    Named(names): Named<OfCheckpoint>,
    Asked(Nothing {}): Asked<Nothing>,
) -> Answer {
    service
        .call(move |local| {
            local.delete_checkpoint(&names.label)?;
            Ok(StatusCode::NO_CONTENT.into_response())
        })
        .await
}

/// `GET /diff`: a line for each document that differs.
pub(super) async fn diff(State(service): State<Service>, Asked(asked): Asked<Comparing>) -> Answer {
    lines(&service, move |local, out| {
        local.diff(&asked, &mut |found| out.push(&Line::Change(DifferenceShape::from(&found))))
    })
    .await
}

/// `POST /rollback`: what came of a replay, and a line for each document that differs. It goes on to
/// its end also if nobody listens any more. Without a body it is from the last checkpoint.
pub(super) async fn rollback(State(service): State<Service>, body: JsonText) -> Answer {
    let asked = match body.bytes.is_empty() {
        true => RollingBack::default(),
        false => body.parse()?,
    };
    lines(&service, move |local, out| {
        let out = RefCell::new(out);
        local.rollback(
            &asked,
            &mut |replay| out.borrow_mut().push(&Line::Replay(replay)),
            &mut |found| out.borrow_mut().push(&Line::Change(DifferenceShape::from(&found))),
        )
    })
    .await
}

/// `GET /holds`
pub(super) async fn holds(
    State(service): State<Service>,
    Asked(Nothing {}): Asked<Nothing>,
) -> Answer {
    service
        .call(|local| {
            let holds = local.store().holds().iter().map(HoldShape::from).collect();
            Ok(Json(HoldsShape { holds }).into_response())
        })
        .await
}

/// `POST /hold`
pub(super) async fn hold(State(service): State<Service>, body: JsonText) -> Answer {
    let asked: Holding = body.parse()?;
    service
        .call(move |local| Ok(Json(HoldsShape { holds: local.hold(&asked)? }).into_response()))
        .await
}

/// `POST /resume`. Without a body it is all that is held back.
pub(super) async fn resume(State(service): State<Service>, body: JsonText) -> Answer {
    let asked = match body.bytes.is_empty() {
        true => Resuming::default(),
        false => body.parse()?,
    };
    service
        .call(move |local| Ok(Json(HoldsShape { holds: local.resume(&asked)? }).into_response()))
        .await
}

/// `POST /revert`: a line for each batch, or with `dry_run` for each document. It goes on to its end
/// also if nobody listens any more.
pub(super) async fn revert(State(service): State<Service>, body: JsonText) -> Answer {
    let asked: Reverting = body.parse()?;
    lines(&service, move |local, out| {
        if asked.dry_run {
            return local.revert_plan(&asked, &mut |found| {
                out.push(&Line::Change(DifferenceShape::from(&found)))
            });
        }
        local.revert(&asked, &mut |documents| {
            if documents % REVERT_DOCUMENTS as u64 == 0 {
                // Whether somebody hears of it makes no difference.
                drop(out.push(&Line::Progress(documents)).and_then(|()| out.flush()));
            }
        })
    })
    .await
}

/// `POST /undo`: a line for each document that was, or with `dry_run` would be, changed.
pub(super) async fn undo(State(service): State<Service>, body: JsonText) -> Answer {
    let asked: Undoing = body.parse()?;
    lines(&service, move |local, out| {
        local.undo(&asked, &mut |found| out.push(&Line::Change(DifferenceShape::from(&found))))
    })
    .await
}
