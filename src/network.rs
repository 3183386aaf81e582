//! Notices that the network changed: an interface, an address or a route came or went.

use crate::control::Event;
use std::{fs, path::Path, time::Duration};
use tokio::sync::mpsc;

/// How often the kernel's tables are compared: a link is back within a second, and reading them costs some microseconds.
const INTERVAL: Duration = Duration::from_secs(1);

/// Sends [`Event::NetworkChanged`] on each change of addresses or routes below `root` (`/`), until the daemon ends.
pub async fn watch(root: &Path, events: mpsc::UnboundedSender<Event>) {
    let mut last = tables(root);
    loop {
        tokio::time::sleep(INTERVAL).await;
        let present = tables(root);
        if present != last {
            last = present;
            tracing::info!("the network changed");
            if events.send(Event::NetworkChanged).is_err() {
                return;
            }
        }
    }
}

/// Addresses and routes of both families (proc(5), `/proc/net`), without the counters that change all the time.
fn tables(root: &Path) -> Vec<String> {
    let columns = |file: &str, keep: &[usize]| {
        let text = fs::read_to_string(root.join("proc/net").join(file)).unwrap_or_default();
        let mut rows: Vec<String> = text
            .lines()
            .map(|line| {
                let fields: Vec<_> = line.split_whitespace().collect();
                keep.iter().filter_map(|column| fields.get(*column).copied()).collect::<Vec<_>>().join(" ")
            })
            .collect();
        rows.sort();
        rows.join("\n")
    };
    vec![
        columns("route", &[0, 1, 2, 7]),
        columns("ipv6_route", &[0, 1, 4, 9]),
        columns("if_inet6", &[0, 5]),
        columns("fib_trie", &[0, 1, 2, 3]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_new_route_is_told_once_and_counters_are_not() {
        let root = tempfile::tempdir().expect("a folder");
        let net = root.path().join("proc/net");
        fs::create_dir_all(&net).expect("a folder");
        let route = |use_count: u32| format!("eth0\t00000000\t0101A8C0\t0003\t{use_count}\t0\t100\t00000000\n");
        fs::write(net.join("route"), route(0)).expect("a file");
        let (sender, mut events) = mpsc::unbounded_channel();
        let path = root.path().to_owned();
        tokio::spawn(async move { watch(&path, sender).await });
        tokio::time::sleep(INTERVAL * 2).await;
        fs::write(net.join("route"), route(9)).expect("a file");
        tokio::time::sleep(INTERVAL * 2).await;
        assert!(events.try_recv().is_err());
        fs::write(net.join("route"), route(9) + &route(0).replace("eth0", "wwan0")).expect("a file");
        tokio::time::sleep(INTERVAL * 2).await;
        assert_eq!(events.try_recv(), Ok(Event::NetworkChanged));
        assert!(events.try_recv().is_err());
    }
}
