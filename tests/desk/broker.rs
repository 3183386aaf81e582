//! What the desk's tests ask of a broker.

use crate::support::{
    Authority,
    broker::{Broker, has_broker, users},
    skip,
};
use rumqttc::v5::{
    Client, Event, MqttOptions,
    mqttbytes::{QoS, v5::Packet},
};
use std::{fs, path::Path, time::Duration};

/// Whether mosquitto and tmux are here; if not, the test is skipped so that nobody can miss it, and fails in CI.
pub fn has_programs() -> bool {
    let tmux = Path::new("/usr/bin/tmux").exists() || skip("tmux is missing (tests/setup.sh test installs it)");
    tmux && has_broker()
}

/// A broker with TLS, a user `desk` with the password `a password`, and the certificate of `authority`.
pub fn closed(authority: &Authority) -> Broker {
    Broker::start_with(|folder| {
        let (certificate, key) = authority.issue("localhost", |_| ());
        let root = folder.display();
        fs::write(folder.join("certificate.pem"), certificate).expect("written");
        fs::write(folder.join("key.pem"), key).expect("written");
        let users = users(folder, &[("desk", "a password")]);
        format!("{users}certfile {root}/certificate.pem\nkeyfile {root}/key.pem")
    })
}

/// A broker where nobody may command the box `id`.
pub fn guarding(id: &str) -> Broker {
    Broker::start_with(|folder| {
        // For clients without a name (mosquitto.conf(5), acl_file): what is not allowed is not done.
        let acl = format!(
            "topic read #\ntopic write fieldcast/+/availability\ntopic write fieldcast/+/info\n\
            topic write fieldcast/+/status\ntopic write fieldcast/+/stats\ntopic deny fieldcast/{id}/cmd/#\ntopic write fieldcast/+/cmd/#\n"
        );
        fs::write(folder.join("acl"), acl).expect("written");
        format!("allow_anonymous true\nacl_file {}/acl", folder.display())
    })
}

/// The topics below `fieldcast/+/cmd` of which `broker` keeps a message.
pub fn kept_requests(broker: &Broker) -> Vec<String> {
    let mut options = MqttOptions::new("witness", "127.0.0.1", broker.port);
    options.set_max_packet_size(Some(1 << 20));
    let (client, mut connection) = Client::new(options, 10);
    client.subscribe("fieldcast/+/cmd/#", QoS::AtLeastOnce).expect("queued");
    let mut topics = Vec::new();
    while let Ok(Ok(event)) = connection.recv_timeout(Duration::from_millis(500)) {
        if let Event::Incoming(Packet::Publish(message)) = event {
            topics.push(String::from_utf8_lossy(&message.topic).into_owned());
        }
    }
    topics
}
