//! Video nodes and subdevices as sysfs lists them: found by driver, name or stable path without opening any of them.

use crate::board::DeviceMatch;
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// An entry of /sys/class/video4linux.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The node, `/dev/video0`.
    pub node: PathBuf,
    /// What the driver calls it.
    pub name: String,
    /// The kernel driver of the device it belongs to; none: a subdevice of a driver without one.
    pub driver: Option<String>,
    /// Changes when the device is plugged anew, even if the node gets the same number.
    pub plugged: u64,
}

/// All video nodes (`video*`) or subdevices (`v4l-subdev*`) under `root`, by number.
pub fn list(root: &Path, kind: &str) -> Vec<Listed> {
    let entries = fs::read_dir(root.join("sys/class/video4linux")).into_iter().flatten().flatten();
    let numbered = entries.filter_map(|entry| {
        let number: u32 = entry.file_name().to_str()?.strip_prefix(kind)?.parse().ok()?;
        let driver = fs::read_link(entry.path().join("device/driver")).ok();
        Some((
            number,
            Listed {
                node: Path::new("/dev").join(entry.file_name()),
                name: fs::read_to_string(entry.path().join("name")).unwrap_or_default().trim().to_string(),
                driver: driver.and_then(|link| Some(link.file_name()?.to_string_lossy().into_owned())),
                // The inode of the directory behind the link; a device that comes anew gets a new directory.
                plugged: fs::metadata(entry.path()).map(|directory| directory.ino()).unwrap_or_default(),
            },
        ))
    });
    let mut numbered: Vec<(u32, Listed)> = numbered.collect();
    numbered.sort_by_key(|(number, _)| *number);
    numbered.into_iter().map(|(_, listed)| listed).collect()
}

/// The video nodes that `wanted` describes, by number. Whether a node captures, only opening it tells.
pub fn candidates(root: &Path, wanted: &DeviceMatch) -> Vec<Listed> {
    let mut nodes = list(root, "video");
    if let Some(path) = &wanted.path {
        let inside = path.strip_prefix("/").unwrap_or(path);
        let target = fs::canonicalize(root.join(inside)).unwrap_or_default();
        nodes.retain(|listed| listed.node.file_name() == target.file_name());
    }
    nodes.retain(|listed| {
        wanted.driver.as_ref().is_none_or(|driver| listed.driver.as_ref() == Some(driver))
            && wanted.name.as_ref().is_none_or(|name| listed.name.contains(name))
    });
    nodes
}

/// The first subdevice whose name contains `name`.
pub fn subdevice(root: &Path, name: &str) -> Option<PathBuf> {
    list(root, "v4l-subdev").into_iter().find(|listed| listed.name.contains(name)).map(|listed| listed.node)
}

/// The links under /dev/v4l that lead to `node`, for a board file's `path`.
pub fn stable_paths(root: &Path, node: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for folder in ["by-id", "by-path"] {
        let folder = Path::new("/dev/v4l").join(folder);
        let entries = fs::read_dir(root.join(folder.strip_prefix("/").unwrap_or(&folder)));
        for entry in entries.into_iter().flatten().flatten() {
            let target = fs::canonicalize(entry.path()).unwrap_or_default();
            if target.file_name().is_some() && target.file_name() == node.file_name() {
                paths.push(folder.join(entry.file_name()));
            }
        }
    }
    paths.sort();
    paths
}

/// The node of the device with this major and minor number.
pub fn node_of(root: &Path, (major, minor): (u32, u32)) -> Option<PathBuf> {
    let event = fs::read_to_string(root.join(format!("sys/dev/char/{major}:{minor}/uevent"))).ok()?;
    let name = event.lines().find_map(|line| line.strip_prefix("DEVNAME="))?;
    Some(Path::new("/dev").join(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A tree as on a box with a USB camera (video and metadata node), an HDMI receiver and a bridge.
    fn tree() -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a folder");
        let add = |class: &str, name: &str, device: &str, driver: Option<&str>| {
            let directory = root.path().join("sys/devices").join(device).join("video4linux").join(class);
            fs::create_dir_all(&directory).expect("a folder");
            fs::write(directory.join("name"), format!("{name}\n")).expect("a file");
            let device = root.path().join("sys/devices").join(device);
            if let Some(driver) = driver {
                let driver = root.path().join("sys/bus/drivers").join(driver);
                fs::create_dir_all(&driver).expect("a folder");
                let _ = symlink(&driver, device.join("driver"));
            }
            symlink(&device, directory.join("device")).expect("a link");
            let list = root.path().join("sys/class/video4linux");
            fs::create_dir_all(&list).expect("a folder");
            symlink(&directory, list.join(class)).expect("a link");
        };
        add("video0", "HD Webcam C525", "usb1/1-1", Some("uvcvideo"));
        add("video1", "HD Webcam C525", "usb1/1-1", Some("uvcvideo"));
        add("video10", "stream_hdmirx", "fdee0000.hdmi-receiver", Some("rk_hdmirx"));
        add("video2", "unicam-image", "fe801000.csi", Some("unicam"));
        add("v4l-subdev0", "tc358743 10-000f", "10-000f", None);
        let links = root.path().join("dev/v4l/by-path");
        fs::create_dir_all(&links).expect("a folder");
        fs::write(root.path().join("dev/video10"), "").expect("a node");
        symlink("../../video10", links.join("platform-fdee0000.hdmi-receiver-video-index0")).expect("a link");
        let event = root.path().join("sys/dev/char/81:7");
        fs::create_dir_all(&event).expect("a folder");
        fs::write(event.join("uevent"), "MAJOR=81\nMINOR=7\nDEVNAME=v4l-subdev0\n").expect("a file");
        root
    }

    fn found(root: &Path, wanted: DeviceMatch) -> Vec<String> {
        candidates(root, &wanted).iter().map(|listed| listed.node.display().to_string()).collect()
    }

    #[test]
    fn nodes_are_found_by_driver_name_and_path_in_order_of_number() {
        let root = tree();
        let by = |path: Option<&str>, driver: Option<&str>, name: Option<&str>| {
            let (driver, name) = (driver.map(String::from), name.map(String::from));
            found(root.path(), DeviceMatch { path: path.map(PathBuf::from), driver, name })
        };
        assert_eq!(by(None, Some("uvcvideo"), None), ["/dev/video0", "/dev/video1"]);
        assert_eq!(by(None, None, Some("hdmirx")), ["/dev/video10"]);
        assert_eq!(by(None, Some("uvcvideo"), Some("hdmirx")), [""; 0]);
        assert_eq!(
            by(Some("/dev/v4l/by-path/platform-fdee0000.hdmi-receiver-video-index0"), None, None),
            ["/dev/video10"]
        );
        assert_eq!(by(Some("/dev/v4l/by-path/platform-gone"), None, None), [""; 0]);
        let listed: Vec<_> = list(root.path(), "video").into_iter().map(|listed| listed.node).collect();
        assert_eq!(listed, ["/dev/video0", "/dev/video1", "/dev/video2", "/dev/video10"].map(PathBuf::from));
        assert_eq!(list(Path::new("/nowhere"), "video"), []);
    }

    #[test]
    fn subdevices_links_and_numbers_lead_to_nodes() {
        let root = tree();
        assert_eq!(subdevice(root.path(), "tc358743"), Some("/dev/v4l-subdev0".into()));
        assert_eq!(subdevice(root.path(), "adv7604"), None);
        let links = stable_paths(root.path(), Path::new("/dev/video10"));
        assert_eq!(links, [PathBuf::from("/dev/v4l/by-path/platform-fdee0000.hdmi-receiver-video-index0")]);
        assert_eq!(node_of(root.path(), (81, 7)), Some("/dev/v4l-subdev0".into()));
        assert_eq!(node_of(root.path(), (81, 8)), None);
    }

    #[test]
    fn a_device_that_comes_anew_is_told_from_the_old_one() {
        let root = tree();
        let plugged = |root: &Path| list(root, "video")[2].plugged;
        let before = plugged(root.path());
        assert_eq!(plugged(root.path()), before);
        let directory = root.path().join("sys/devices/fe801000.csi/video4linux/video2");
        // Kept, so that its inode is not given out again at once; sysfs numbers its directories upwards.
        fs::rename(&directory, root.path().join("gone")).expect("moved");
        fs::create_dir_all(&directory).expect("a folder");
        assert_ne!(plugged(root.path()), before);
    }
}
