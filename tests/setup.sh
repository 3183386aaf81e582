#!/bin/bash
# Installs the Debian packages that a tier needs and the machine lacks; when nothing is missing it does nothing.
#
#   tests/setup.sh build    what the programs need to be built
#   tests/setup.sh demo     build, and what `make demo` runs: GStreamer's plugins, an ingest, a decoder
#   tests/setup.sh lint     build, rustfmt and clippy
#   tests/setup.sh arm64    build, and the cross compiler of `make arm64`
#   tests/setup.sh test     all of these, the emulator and what else the tests talk to
set -euo pipefail
. "$(dirname "$0")/setup-cache.sh"

oldest_rust=1.92

build="gcc libc6-dev pkg-config libclang-dev libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev
    libsrt-gnutls-dev"
demo="gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly
    gstreamer1.0-alsa gstreamer1.0-libav gstreamer1.0-tools nginx libnginx-mod-rtmp ffmpeg openssl curl
    mosquitto mosquitto-clients"
lint=""
arm64="gcc-aarch64-linux-gnu libc6-dev-arm64-cross mmdebstrap"
# The TLS front of an ingest, networks of our own, the listener that reads HEVC, the one that takes SRT, and a terminal.
peers="stunnel4 iproute2 util-linux python3-venv srt-tools tmux"
# Bundles, file systems and partitions of the firmware, and the shell of its initramfs.
firmware="rauc squashfs-tools dbus dosfstools mtools fdisk busybox-static openssh-client"
test="qemu-system-arm e2fsprogs kmod cpio python3 systemd $firmware $peers"

# Rust: the one on PATH when it is recent enough, else Debian's own: bookworm follows Rust for its browsers, in packages
# named -web.
debian_rust() { [ "$(command -v cargo || echo /usr/bin/cargo)" = /usr/bin/cargo ]; }
recent() { [ "$(printf '%s\n' "$oldest_rust" "$1" | sort -V | head -n 1)" = "$oldest_rust" ]; }
if ! recent "$(cargo --version 2>/dev/null | cut -d ' ' -f 2)"; then
    if ! debian_rust; then
        echo "$(command -v cargo) is older than $oldest_rust: update it (rustup update)" >&2
        exit 1
    fi
    build="$build rustc-web cargo-web"
fi
if debian_rust; then
    lint="$lint rustfmt-web rust-web-clippy"
fi
if [ ! -d "$(rustc --print sysroot 2>/dev/null)/lib/rustlib/aarch64-unknown-linux-gnu" ]; then
    arm64="$arm64 rustc-web"
fi

case ${1:-} in
    build) wanted=$build ;;
    demo) wanted="$build $demo" ;;
    lint) wanted="$build $lint" ;;
    arm64) wanted="$build $arm64" ;;
    test) wanted="$build $demo $lint $arm64 $test" ;;
    *) sed -n 's/^#   //p' "$0" >&2; exit 2 ;;
esac

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
missing=()
for package in $wanted; do
    installed "$package" || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

echo "installing ${missing[*]}"
# The packages of nginx and mosquitto start a server. The tests start their own on free ports, so a machine that had none is
# left with none running; one that has its own keeps it as it is.
unwanted=()
for server in nginx mosquitto; do
    installed "$server" || unwanted+=("$server")
done
if [ ${#unwanted[@]} -gt 0 ] && [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\ncase " %s " in *" $1 "*) exit 101 ;; esac\n' "${unwanted[*]}" |
        sudo tee /usr/sbin/policy-rc.d >/dev/null
    sudo chmod 755 /usr/sbin/policy-rc.d
    trap 'sudo rm -f /usr/sbin/policy-rc.d' EXIT
fi
sudo apt-get -q -o DPkg::Lock::Timeout=600 update
sudo env DEBIAN_FRONTEND=noninteractive \
    apt-get -q -y -o DPkg::Lock::Timeout=600 install --no-install-recommends "${missing[@]}"
for server in "${unwanted[@]}"; do
    if installed "$server" && command -v systemctl >/dev/null; then
        sudo systemctl disable --quiet "$server"
        [ ! -d /run/systemd/system ] || sudo systemctl stop "$server"
    fi
done
