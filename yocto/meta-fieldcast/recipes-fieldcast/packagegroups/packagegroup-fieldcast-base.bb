SUMMARY = "What every Fieldcast box runs"
DESCRIPTION = "The daemon as an appliance, networks, updates, and GStreamer's plugins that plans use on every board."

inherit packagegroup

# Elements and the plugins they are in: tests/yocto.rs.
FIELDCAST_PLUGINS = "\
    gstreamer1.0 \
    gstreamer1.0-plugins-bad-openh264 \
    gstreamer1.0-plugins-bad-videoparsersbad \
    gstreamer1.0-plugins-bad-voaacenc \
    gstreamer1.0-plugins-base-alsa \
    gstreamer1.0-plugins-base-app \
    gstreamer1.0-plugins-base-audioconvert \
    gstreamer1.0-plugins-base-audioresample \
    gstreamer1.0-plugins-base-audiotestsrc \
    gstreamer1.0-plugins-base-videoconvertscale \
    gstreamer1.0-plugins-base-videorate \
    gstreamer1.0-plugins-base-videotestsrc \
    gstreamer1.0-plugins-base-volume \
    gstreamer1.0-plugins-good-deinterlace \
    gstreamer1.0-plugins-good-imagefreeze \
    gstreamer1.0-plugins-good-jpeg \
    gstreamer1.0-plugins-good-level \
    gstreamer1.0-plugins-good-png \
    gstreamer1.0-plugins-good-video4linux2 \
    gstreamer1.0-plugins-ugly-x264 \
"

RDEPENDS:${PN} = "\
    ${FIELDCAST_PLUGINS} \
    avahi-daemon \
    fieldcast \
    fieldcast-appliance \
    iw \
    kernel-modules \
    modemmanager \
    networkmanager-daemon \
    networkmanager-nmcli \
    networkmanager-wifi \
    networkmanager-wwan \
    openssh-keygen \
    openssh-sshd \
    os-release \
    rauc \
    rauc-service \
    util-linux-mount \
    wireless-regdb-static \
"
