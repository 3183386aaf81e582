//! What a worker takes from itself before it loads GStreamer and before it hears its plan: decoders read whatever a camera or
//! an operator's picture says, and drivers are code of many hands. What takes a worker over finds no network, no stream key, no
//! state, no settings, and none of the daemon's memory.
//!
//! *Landlock* (landlock(7)) leaves it programs, devices, /proc and /sys to read, and GStreamer's registry to write; it also keeps
//! it from looking into processes outside. *seccomp* (seccomp(2)) leaves it the socket that it was started with and no other.
//! What it executes, such as GStreamer's plugin scanner, inherits both.

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr, Scope,
    path_beneath_rules,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};
use std::{collections::BTreeMap, env, fs::DirBuilder, os::unix::fs::DirBuilderExt as _, path::PathBuf};

/// The newest Landlock whose rights are asked for; an older kernel gives those that it has.
const NEWEST: ABI = ABI::V6;

/// What is read: programs and libraries (/opt: of board vendors), their settings, and what the kernel and udev say of the
/// hardware. What is not there is left out.
const READ: [&str; 14] = [
    "/usr",
    "/lib",
    "/lib64",
    "/opt",
    "/etc/alsa",
    "/etc/asound.conf",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/proc",
    "/run/udev",
    "/sys",
    "/var/lib/alsa",
];

/// Protocol of the netlink socket on which devices are announced (linux/netlink.h): VA-API's plugin asks libudev, which opens
/// one.
const KOBJECT_UEVENT: u64 = 15;

/// Ways around the above: sockets without socket(2), other processes' memory, descriptors and signals, another view of the file
/// system, the kernel's own machines.
const REFUSED: [i64; 24] = [
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_tkill,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
];

/// Confines this process for good: the calling thread, and those that it starts. Call it while there is no other. On a kernel
/// without Landlock the network alone is taken; `sys::landlock_is_there` tells.
///
/// # Errors
/// When the kernel refuses either; what was taken until then stays taken.
pub fn confine() -> Result<(), String> {
    files().map_err(|error| format!("Landlock: {error}"))?;
    let filter = filter().map_err(|error| format!("seccomp: {error}"))?;
    seccompiler::apply_filter(&filter).map_err(|error| format!("seccomp: {error}"))
}

fn files() -> Result<(), landlock::RulesetError> {
    let registry = registry_folder();
    if let Some(folder) = &registry {
        // Its parents are not to be written any more. Where it cannot be made, GStreamer looks at all plugins at each start.
        let _ = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    }
    let all = AccessFs::from_all(NEWEST);
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?
        .add_rules(path_beneath_rules(READ, AccessFs::from_read(NEWEST)))?
        .add_rules(path_beneath_rules(named(), AccessFs::from_read(NEWEST)))?
        .add_rules(path_beneath_rules(registry, all))?
        .add_rules(path_beneath_rules(["/dev"], all))?
        .restrict_self()?;
    Ok(())
}

/// Where GStreamer keeps its registry of plugins (gst/gstregistry.c): the folder of `GST_REGISTRY`, or `gstreamer-1.0` in the
/// user's cache.
fn registry_folder() -> Option<PathBuf> {
    let path = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let named = path("GST_REGISTRY_1_0").or_else(|| path("GST_REGISTRY"));
    let cache = || path("XDG_CACHE_HOME").or_else(|| path("HOME").map(|home| home.join(".cache")));
    match named {
        Some(file) => file.parent().map(Into::into),
        None => cache().map(|cache| cache.join("gstreamer-1.0")),
    }
}

/// Files and folders that variables name for GStreamer, ALSA and the dynamic linker: plugins outside /usr, presets.
fn named() -> Vec<PathBuf> {
    let theirs = |name: &str| ["GST_", "ALSA_", "LD_LIBRARY_PATH"].iter().any(|prefix| name.starts_with(prefix));
    let values = env::vars_os().filter(|(name, _)| name.to_str().is_some_and(theirs));
    // The root itself would be everything.
    let is_path = |path: &PathBuf| path.is_absolute() && path.parent().is_some();
    values.flat_map(|(_, value)| env::split_paths(&value).collect::<Vec<_>>()).filter(is_path).collect()
}

fn filter() -> Result<BpfProgram, seccompiler::BackendError> {
    let argument = |index, operator, value| SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value);
    let netlink = libc::AF_NETLINK as u64;
    let sockets = vec![
        SeccompRule::new(vec![argument(0, SeccompCmpOp::Ne, netlink)?])?,
        SeccompRule::new(vec![
            argument(0, SeccompCmpOp::Eq, netlink)?,
            argument(2, SeccompCmpOp::Ne, KOBJECT_UEVENT)?,
        ])?,
    ];
    // abort(3) signals its own thread.
    let of_others = || {
        let own = u64::from(std::process::id());
        SeccompRule::new(vec![argument(0, SeccompCmpOp::Ne, own)?])
    };
    // A system call without a rule is refused whatever its arguments.
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = REFUSED.into_iter().map(|call| (call, Vec::new())).collect();
    rules.insert(libc::SYS_socket, sockets);
    rules.insert(libc::SYS_kill, vec![of_others()?]);
    rules.insert(libc::SYS_tgkill, vec![of_others()?]);
    let machine = TargetArch::try_from(env::consts::ARCH)?;
    SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(libc::EPERM as u32), machine)?.try_into()
}
