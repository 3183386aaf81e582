//! Cards in the daemon: each is encoded once by a worker, and kept in a folder for the next time.

use super::{
    Card, Failure, FailureKind, Plan, Report, StillPlan, picture_file,
    supervisor::{self, Said},
};
use crate::{
    access_unit::AccessUnit,
    control::WorkerId,
    program::slate::{self, Gop},
    state,
    units::Rate,
};
use std::{
    fs::{self, DirBuilder, File},
    io::{self, Read as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{
    sync::{Mutex, mpsc},
    time::sleep,
};

/// How long a worker may take.
const LIMIT: Duration = Duration::from_secs(20);
/// Most files that are kept; those not used for longest go first.
const KEPT: usize = 16;
/// What the worker makes of a plan and a picture: another number when that changes, so that no old file is used.
const LOOK: u32 = 1;
/// Workers here never talk to the control core; the number is for the log.
const WORKER: WorkerId = WorkerId(0);

/// Cards are made one after the other: two workers at once would take the processor from what is on air, and the second
/// may want what the first makes.
static TURN: Mutex<()> = Mutex::const_new(());

/// Gives the GOP that `plan` asks for: from `folder`, where it was kept, else by a worker, which takes at most 20 s. Dropping
/// the future ends the worker.
///
/// # Errors
/// When the picture cannot be used, or the worker fails. A folder that cannot be read or written is only logged.
pub async fn gop(plan: StillPlan, folder: &Path) -> Result<Gop, Failure> {
    gop_by(&supervisor::binary(), plan, folder).await
}

/// As [`gop`], by the worker `binary`.
///
/// # Errors
/// As [`gop`].
pub async fn gop_by(binary: &Path, plan: StillPlan, folder: &Path) -> Result<Gop, Failure> {
    let _turn = TURN.lock().await;
    let (wanted, place) = (plan.clone(), folder.to_owned());
    let (file, kept) = blocking(move || find(&wanted, &place)).await??;
    if let Some(gop) = kept {
        return Ok(gop);
    }
    let gop = encode(binary, plan).await?;
    let new = gop.clone();
    blocking(move || {
        if let Err(error) = keep(&file, &new) {
            tracing::warn!("the slate {} cannot be kept: {error}", file.display());
        }
    })
    .await?;
    Ok(gop)
}

/// Disks can be slow, and pictures large.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| failure(FailureKind::Other, format!("a still picture: {error}")))
}

/// Where the plan's GOP is kept, and it if it is there and whole.
fn find(plan: &StillPlan, folder: &Path) -> Result<(PathBuf, Option<Gop>), Failure> {
    let mut asked = serde_json::to_vec(plan).unwrap_or_default();
    asked.extend_from_slice(&LOOK.to_be_bytes());
    if let Card::Picture(path) = &plan.card {
        let unusable = |why: String| failure(FailureKind::Picture, why);
        let bytes = picture_file::read(path).map_err(unusable)?;
        picture_file::look(&bytes).map_err(|why| unusable(format!("{}: {why}", path.display())))?;
        asked.extend_from_slice(&slate::checksum(&bytes).to_be_bytes());
    }
    let file = folder.join(format!("{:016x}.gop", slate::checksum(&asked)));
    let gop = match read(&file) {
        Ok(bytes) => Gop::from_bytes(&bytes).map_err(|error| error.to_string()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((file, None)),
        Err(error) => Err(error.to_string()),
    };
    match &gop {
        Ok(_) => touch(&file),
        Err(error) => {
            tracing::warn!("{} is made anew: {error}", file.display());
            let _ = fs::remove_file(&file);
        }
    }
    Ok((file, gop.ok()))
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(file)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    File::open(file)?.take(slate::MOST_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// It was used now, so that it is kept longer than others. Only the order counts, so a clock that is wrong does no harm.
fn touch(file: &Path) {
    let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
    let times = rustix::fs::Timestamps { last_access: now, last_modification: now };
    let _ = rustix::fs::utimensat(rustix::fs::CWD, file, &times, rustix::fs::AtFlags::empty());
}

fn keep(file: &Path, gop: &Gop) -> io::Result<()> {
    let (Some(folder), Some(name)) = (file.parent(), file.file_name().and_then(|name| name.to_str())) else {
        return Ok(());
    };
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    state::write_whole(folder, name, &gop.to_bytes())?;
    let mut kept: Vec<_> = fs::read_dir(folder)?
        .flatten()
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .filter(|(_, path)| path != file)
        .collect();
    kept.sort();
    for (_, old) in kept.iter().rev().skip(KEPT - 1) {
        let _ = fs::remove_file(old);
    }
    Ok(())
}

/// Has a worker encode `plan`.
async fn encode(binary: &Path, plan: StillPlan) -> Result<Gop, Failure> {
    let (sender, mut messages) = mpsc::channel(16);
    // Held to the end: dropped, it stops the process.
    let _worker = supervisor::spawn(binary, WORKER, &Plan::Still(plan.clone()), sender)
        .map_err(|error| failure(FailureKind::Other, format!("the media worker cannot be started: {error}")))?;
    let (mut units, mut rate) = (Vec::new(), plan.mode.rate);
    let late = sleep(LIMIT);
    tokio::pin!(late);
    loop {
        let said = tokio::select! {
            message = messages.recv() => message.map(|message| message.said),
            // A first GOP may be there all the same.
            () = &mut late => None,
        };
        match said {
            Some(Said::Report(Report::Started(started))) => rate = rate_of(&plan, &started.encoder),
            Some(Said::Report(Report::Unit(unit))) => units.push(unit),
            Some(Said::Report(Report::Failed(failure))) => return Err(failure),
            Some(Said::Report(_)) => {}
            Some(Said::Exited) | None => break,
        }
    }
    closed(&units, rate, plan.keyframe_interval as usize)
}

/// The last whole GOP of `pictures` pictures among what came. Some encoders swallow pictures at the end, or die there, and
/// an encoder may be late: one that has half of them is as good.
fn closed(units: &[AccessUnit], rate: Rate, pictures: usize) -> Result<Gop, Failure> {
    let gops: Vec<&[AccessUnit]> = units.chunk_by(|_, next| !next.key).collect();
    let whole = gops.iter().rfind(|gop| gop.len() >= pictures);
    let Some(gop) = whole.or(gops.iter().rfind(|gop| gop.len() * 2 >= pictures)) else {
        let came = units.len();
        return Err(failure(FailureKind::Encoder, format!("{came} pictures came, no GOP of {pictures}")));
    };
    Gop::new(gop.to_vec(), rate).ok_or_else(|| failure(FailureKind::Encoder, "a still picture is no closed GOP"))
}

/// The rate that the encoder was run at.
fn rate_of(plan: &StillPlan, element: &str) -> Rate {
    let encoder = plan.encoders.iter().find(|encoder| encoder.element == element);
    encoder.map_or(plan.mode, |encoder| encoder.fit(plan.mode)).rate
}

fn failure(kind: FailureKind, text: impl Into<String>) -> Failure {
    Failure { kind, text: text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        access_unit::{CodecConfig, Track},
        units::Time,
    };
    use bytes::Bytes;
    use std::{sync::Arc, time::SystemTime};

    fn units(keys: &[bool]) -> Vec<AccessUnit> {
        let config = Arc::new(CodecConfig::H264(Bytes::from_static(b"\x01record")));
        let unit = |key: &bool| AccessUnit {
            track: Track::Video,
            time: Time::ZERO,
            key: *key,
            config: config.clone(),
            data: Bytes::from_static(b"picture"),
        };
        keys.iter().map(unit).collect()
    }

    #[test]
    fn the_last_whole_gop_is_taken_and_a_stump_refused() {
        let rate = Rate::new(30, 1);
        let length = |keys: &str| {
            let keys: Vec<bool> = keys.chars().map(|kind| kind == 'I').collect();
            closed(&units(&keys), rate, 4).map(|gop| gop.len()).map_err(|failure| failure.kind)
        };
        assert_eq!(length("IPPPIPPP"), Ok(4));
        assert_eq!(length("IPPPIPP"), Ok(4), "the first one is whole");
        assert_eq!(length("IPPPPPPP"), Ok(8), "an interval of its own");
        assert_eq!(length("IPPIP"), Ok(2), "better than none");
        for none in ["", "I", "IIII", "PPPP"] {
            assert_eq!(length(none), Err(FailureKind::Encoder), "{none:?}");
        }
    }

    #[test]
    fn sixteen_are_kept_and_the_oldest_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let slates = folder.path().join("slates");
        let gop = closed(&units(&[true]), Rate::new(30, 1), 1).expect("a GOP");
        for n in 0..20u64 {
            let file = slates.join(format!("{n:016x}.gop"));
            keep(&file, &gop).expect("kept");
            let age = Duration::from_secs(1000 - n);
            let made = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000) - age;
            File::options().write(true).open(&file).and_then(|file| file.set_modified(made)).expect("an age");
            if n == 5 {
                touch(&slates.join(format!("{:016x}.gop", 0)));
            }
        }
        let mut left: Vec<_> =
            fs::read_dir(&slates).expect("a folder").flatten().map(|file| file.file_name()).collect();
        left.sort();
        assert_eq!(left.len(), KEPT, "{left:?}");
        assert!(left[0] == "0000000000000000.gop" && left[1] == "0000000000000005.gop", "{left:?}");
    }
}
