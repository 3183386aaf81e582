//! The stand-in of X's Studio API as a program, for the demo.

#[path = "mod.rs"]
mod stand_in;

use clap::Parser;
use stand_in::{Settings, StandIn};
use std::net::SocketAddr;

/// A stand-in of X's Studio API on this machine
#[derive(Parser)]
struct Arguments {
    /// Where it listens
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The real ingest that sources lead to, without the key
    #[arg(long, value_name = "URL", default_value = "rtmp://127.0.0.1:1935/live")]
    rtmp: String,
    /// Statistics of that nginx, which tell who pushes; without, it tells by its calls (on_publish)
    #[arg(long, value_name = "URL")]
    nginx_stat: Option<String>,
}

fn main() {
    let arguments = Arguments::parse();
    let settings = Settings {
        listen: arguments.listen,
        rtmp_url: arguments.rtmp.clone(),
        rtmps_url: arguments.rtmp,
        ..Settings::default()
    };
    let client_id = settings.client_id.clone();
    let studio = StandIn::start_with(settings);
    println!("a stand-in of the Studio listens on {}", studio.url());
    println!("authorize {}", studio.authorize_url());
    println!("client-id {client_id}");
    // Of its one account, as `fieldcast studio link` would get them.
    let tokens = studio.link("fieldcast");
    println!("access-token {}\nrefresh-token {}", tokens.access, tokens.refresh);
    println!("ingest {}", studio.nginx_application());
    let _watch = arguments.nginx_stat.map(|url| studio.watch_nginx(&url));
    loop {
        std::thread::park();
    }
}
