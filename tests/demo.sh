#!/bin/bash
# Puts a picture on air at an ingest on this machine, publishes it in a stand-in of X's Studio, and says how to watch it;
# Ctrl-C ends everything.
#
#   make demo                       the test picture: bars, a counter, a flash and a beep each second
#   CAMERA=1 make demo              the first USB camera, with its own sound if it has any
#   CAMERA=/dev/video2 make demo    that camera
#
#   tests/demo.sh [folder of the programs]
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
programs=$(cd "${1:-${CARGO_TARGET_DIR:-$root/target}/release}" && pwd)
export PATH=$PATH:/usr/sbin

for tool in nginx ffmpeg curl mosquitto; do
    command -v "$tool" >/dev/null || { echo "$tool is missing: tests/setup.sh demo installs it" >&2; exit 1; }
done
module=/usr/lib/nginx/modules/ngx_rtmp_module.so
[ -e "$module" ] || { echo "nginx's RTMP module is missing: tests/setup.sh demo installs it" >&2; exit 1; }

folder=$(mktemp -d "${XDG_RUNTIME_DIR:-/tmp}/fieldcast-demo.XXXXXX")
# nginx started as root gives its work to another user, who has to reach the folder.
chmod 755 "$folder"
mkdir -m 777 "$folder/hls"
nginx_pid='' daemon_pid='' broker_pid='' studio_pid=''

finish() {
    trap - EXIT INT TERM HUP
    # The daemon first: the ingest is to see a stream that was ended, not one that broke.
    if [ -n "$daemon_pid" ] && kill -TERM "$daemon_pid" 2>/dev/null; then
        echo "ending the stream ..."
        wait "$daemon_pid" || true
    fi
    if [ -n "$nginx_pid" ] && kill -TERM "$nginx_pid" 2>/dev/null; then
        wait "$nginx_pid" || true
    fi
    if [ -n "$studio_pid" ] && kill -TERM "$studio_pid" 2>/dev/null; then
        wait "$studio_pid" || true
    fi
    if [ -n "$broker_pid" ] && kill -TERM "$broker_pid" 2>/dev/null; then
        wait "$broker_pid" || true
    fi
    rm -rf "$folder"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# A port is free when nothing answers on it; two demos at once would need luck only for the same moment.
free_port() {
    local port
    while port=$((RANDOM % 12000 + 20000)); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
}
rtmp=$(free_port) web=$(free_port) status=$(free_port) broker=$(free_port) api=$(free_port)

cat >"$folder/nginx.conf" <<END
daemon off; master_process off; pid $folder/nginx.pid; error_log $folder/nginx.log warn;
load_module $module;
events { worker_connections 256; }
rtmp {
    server {
        listen 127.0.0.1:$rtmp;
        application live { live on; hls on; hls_path $folder/hls; hls_fragment 2s; hls_playlist_length 20s; }
    }
}
http {
    types { text/html html; application/vnd.apple.mpegurl m3u8; video/mp2t ts; }
    access_log off;
    client_body_temp_path $folder/body; proxy_temp_path $folder/proxy; fastcgi_temp_path $folder/fastcgi;
    uwsgi_temp_path $folder/uwsgi; scgi_temp_path $folder/scgi;
    server {
        listen 127.0.0.1:$web;
        root $folder;
        location / { index watch.html; add_header Cache-Control no-cache; }
        location = /stat { rtmp_stat all; }
        location = /preview.jpg { proxy_pass http://127.0.0.1:$status/preview.jpg; }
    }
}
END
cat >"$folder/watch.html" <<END
<!doctype html><meta charset=utf-8><title>Fieldcast demo</title>
<style>body { font: 16px sans-serif; margin: 2em } video, img { width: 640px; background: #222 }</style>
<h1>On air</h1>
<p>As viewers get it (HLS, some seconds late; browsers that cannot play HLS show nothing: use VLC or mpv):</p>
<video src=hls/KEY.m3u8 controls autoplay muted playsinline></video>
<p>As the box sees it, each second:</p>
<img id=preview src=preview.jpg alt="the input">
<script>setInterval(() => { preview.src = "preview.jpg?" + Date.now() }, 1000)</script>
END

board=$root/boards/desktop.toml input=test
if [ -n "${CAMERA:-}" ]; then
    input=camera
    if [ "$CAMERA" != 1 ]; then
        [ -c "$CAMERA" ] || { echo "$CAMERA is not a video device" >&2; exit 1; }
        # The same board, with its camera looked for at the named path.
        board=$folder/desktop.toml
        sed "s|^device = { driver = \"uvcvideo\" }|device = { path = \"$CAMERA\" }|" "$root/boards/desktop.toml" >"$board"
    fi
fi
cat >"$folder/settings.toml" <<END
name = "Demo"
[input]
device = "$input"
[[source]]
name = "Demo"
studio = { source-id = "SOURCE" }
[studio]
client-id = "fieldcast-client"
base-url = "http://127.0.0.1:$api"
[push]
at-power-on = "always"
[mqtt]
broker = "mqtt://127.0.0.1:$broker"
[http]
listen = "127.0.0.1:$status"
END
cat >"$folder/mosquitto.conf" <<END
listener $broker 127.0.0.1
allow_anonymous true
END

# In process groups of their own, so that Ctrl-C reaches only this script, which ends things in order.
setsid nginx -e "$folder/nginx.log" -p "$folder" -c "$folder/nginx.conf" 2>/dev/null &
nginx_pid=$!
setsid mosquitto -c "$folder/mosquitto.conf" 2>"$folder/mosquitto.log" &
broker_pid=$!
setsid "$programs/examples/studio-stand-in" --listen "127.0.0.1:$api" --rtmp "rtmp://127.0.0.1:$rtmp/live" \
    --nginx-stat "http://127.0.0.1:$web/stat" >"$folder/studio" 2>"$folder/studio.log" &
studio_pid=$!

# An account of the stand-in's, and a Source of it: what `fieldcast studio link` and `fieldcast studio source create` do.
told() { sed -n "s/^$1 //p" "$folder/studio"; }
for ((tenths = 0; ; tenths++)); do
    # The second of the two lines.
    refresh=$(told refresh-token)
    [ -z "$refresh" ] || break
    [ "$tenths" -lt 100 ] || { cat "$folder/studio.log" >&2; exit 1; }
    sleep 0.1
done
access=$(told access-token)
made=$(curl -fsS --max-time 5 -H "Authorization: Bearer $access" --json '{"name": "Demo", "region": "us-east-1"}' \
    "http://127.0.0.1:$api/2/sources")
field() { grep -o "\"$1\": *\"[^\"]*\"" <<<"$made" | head -n 1 | cut -d '"' -f 4; }
source_id=$(field id) key=$(field stream_key)
sed -i "s/SOURCE/$source_id/" "$folder/settings.toml"
sed -i "s/KEY/$key/" "$folder/watch.html"
setsid "$programs/fieldcastd" run --board "$board" --settings "$folder/settings.toml" --state "$folder/state" \
    2>"$folder/fieldcastd.log" &
daemon_pid=$!

phase() { curl -fsS --max-time 2 "http://127.0.0.1:$status/api/v1/status" 2>/dev/null | grep -o '"phase":"[a-z-]*"' | cut -d '"' -f 4; }
give_up() {
    echo "$1" >&2
    curl -fsS --max-time 2 "http://127.0.0.1:$status/api/v1/status" 2>/dev/null | grep -o '"faults":\[[^]]*\]' >&2 || true
    tail -n 20 "$folder/fieldcastd.log" "$folder/nginx.log" >&2
    exit 1
}
# Waits for a phase of this name, or for any.
await() {
    local now tenths
    for ((tenths = 0; ; tenths++)); do
        now=$(phase || true)
        if [ -n "$now" ] && [ "${1:-$now}" = "$now" ]; then break; fi
        kill -0 "$daemon_pid" 2>/dev/null || give_up "fieldcastd ended"
        kill -0 "$nginx_pid" 2>/dev/null || give_up "nginx ended"
        kill -0 "$studio_pid" 2>/dev/null || give_up "the stand-in of the Studio ended"
        [ "$tenths" -lt 300 ] || give_up "not ${1:-running} after 30 s (${now:-no status})"
        sleep 0.1
    done
}
ask() { curl -fsS --max-time 90 --json "$2" -o "$folder/answer" "http://127.0.0.1:$status/api/v1/$1"; }
echo "starting ..."
await
ask studio/accounts "{\"client-id\": \"fieldcast-client\", \"access-token\": \"$access\", \"refresh-token\": \"$refresh\"}" ||
    give_up "the account is not linked"
await previewing
echo "previewing: the Source gets the picture, and nobody sees it yet"
ask commands/publish '{"title": "Hello from a field"}' || give_up "not published"
await on-air

cat <<END

on air: acknowledged by the ingest, and public by the word of the Studio (a stand-in of X's, on this machine)

  watch    mpv rtmp://127.0.0.1:$rtmp/live/$key      (or ffplay, or VLC: Open Network Stream)
  browser  http://127.0.0.1:$web/                    HLS and the input's preview, some seconds after the start
  HLS      http://127.0.0.1:$web/hls/$key.m3u8
  status   http://127.0.0.1:$status/api/v1/status
  preview  http://127.0.0.1:$status/preview.jpg
  panel    $folder/state/panel.png          what a box's display would show, made anew on each change
  log      $folder/fieldcastd.log
  broker   mosquitto_sub -p $broker -v -t 'fieldcast/#'      all that the box says

  end      curl --json '{"confirm": true}' http://127.0.0.1:$status/api/v1/commands/end       the Broadcast; the push goes on
  publish  curl --json '{"title": "Again"}' http://127.0.0.1:$status/api/v1/commands/publish
  stop     curl --json '{"confirm": true, "end": true}' http://127.0.0.1:$status/api/v1/commands/stop
  start    curl --json '{}' http://127.0.0.1:$status/api/v1/commands/start

Ctrl-C ends the demo.
END
# What is said on air is told here, until one of the two ends.
last=on-air
while kill -0 "$daemon_pid" 2>/dev/null && kill -0 "$nginx_pid" 2>/dev/null; do
    sleep 1
    now=$(phase || true)
    if [ -n "$now" ] && [ "$now" != "$last" ]; then
        echo "$now"
        last=$now
    fi
done
give_up "the demo ended by itself"
