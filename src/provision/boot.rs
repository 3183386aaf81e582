//! The boot partition, which is mounted for this program alone.
//!
//! It is looked for in sysfs, as the kernel found it in the partition table: udev's links come later, and this is on the way to a
//! box that can be used.

use rustix::mount::{MountFlags, mount};
use std::{ffi::CStr, fs, io, os::unix::fs::MetadataExt as _, path::Path};

/// Mounts the boot partition read-only where it is looked for; nothing where the disk has none.
///
/// # Errors
/// Its file system is damaged, or the process may not mount.
pub fn mount_boot() -> io::Result<()> {
    let root = Path::new("/");
    let device = fs::metadata(root)?.dev();
    let Some(name) = partition(root, (rustix::fs::major(device), rustix::fs::minor(device)), "boot") else {
        return Ok(());
    };
    let place = root.join("run/media/boot");
    fs::create_dir_all(&place)?;
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    Ok(mount(root.join("dev").join(name), &place, "vfat", flags, None::<&CStr>)?)
}

/// The name below /dev of the partition called `label` in the table of the disk that has the partition `device` (major and minor
/// number), as sysfs below `root` tells (Documentation/ABI/stable/sysfs-block; PARTNAME in a partition's uevent).
fn partition(root: &Path, (major, minor): (u32, u32), label: &str) -> Option<String> {
    let own = fs::canonicalize(root.join(format!("sys/dev/block/{major}:{minor}"))).ok()?;
    let entries = fs::read_dir(own.parent()?).ok()?.flatten();
    entries.map(|entry| fs::read_to_string(entry.path().join("uevent")).unwrap_or_default()).find_map(|uevent| {
        let value = |key: &str| uevent.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let name = value("DEVNAME").filter(|_| value("PARTNAME") == Some(label))?;
        name.bytes().all(|c| c.is_ascii_alphanumeric()).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tests::tree;

    #[test]
    fn it_is_on_the_disk_of_the_root_file_system() {
        let disk = "sys/devices/platform/virtio/block/vda";
        let part = |name: &str, label: &str| {
            (
                format!("{disk}/{name}/uevent"),
                format!("MAJOR=254\nDEVNAME={name}\nDEVTYPE=partition\nPARTNAME={label}\n"),
            )
        };
        let mut files = vec![part("vda1", "boot"), part("vda3", "rootfs-a"), part("vda5", "data")];
        files.push((format!("{disk}/uevent"), "DEVNAME=vda\nDEVTYPE=disk\n".into()));
        files.push((format!("{disk}/queue/x"), String::new()));
        // A stick with a partition of the same name.
        files.push(("sys/devices/usb/block/sda/sda1/uevent".into(), "DEVNAME=sda1\nPARTNAME=boot\n".into()));
        let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        let root = tree(&files);
        let numbers = root.path().join("sys/dev/block");
        fs::create_dir_all(&numbers).expect("made");
        std::os::unix::fs::symlink("../../devices/platform/virtio/block/vda/vda3", numbers.join("254:3"))
            .expect("linked");
        assert_eq!(partition(root.path(), (254, 3), "boot").as_deref(), Some("vda1"));
        assert_eq!(partition(root.path(), (254, 3), "bot"), None);
        assert_eq!(partition(root.path(), (8, 1), "boot"), None);
    }
}
