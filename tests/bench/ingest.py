"""An nginx-rtmp on loopback, and a relay in front of it that notes when the first coded picture comes by."""

import glob
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time

MODULE = "/usr/lib/nginx/modules/ngx_rtmp_module.so"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Ingest:
    """Records each stream in a folder in memory, so that a slow disk is nobody's cost."""

    def __enter__(self):
        base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = tempfile.mkdtemp(prefix="fieldcast-bench-", dir=base)
        os.chmod(self.folder, 0o755)
        self.records = os.path.join(self.folder, "records")
        os.mkdir(self.records)
        os.chmod(self.records, 0o777)
        self.port = free_port()
        configuration = os.path.join(self.folder, "nginx.conf")
        with open(configuration, "w") as out:
            out.write(f"""
                daemon off; master_process off; pid {self.folder}/pid; error_log {self.folder}/error.log info;
                load_module {MODULE};
                events {{ worker_connections 64; }}
                rtmp {{ server {{ listen 127.0.0.1:{self.port}; application live {{
                    live on; record all; record_path {self.records}; record_unique on; }} }} }}
            """)
        nginx = shutil.which("nginx") or "/usr/sbin/nginx"
        self.nginx = subprocess.Popen([nginx, "-e", f"{self.folder}/error.log", "-p", self.folder, "-c", configuration],
                                      stderr=subprocess.DEVNULL)
        self.wait_for(lambda: self.answers(), 5, "nginx does not start")
        return self

    def __exit__(self, *_):
        self.nginx.terminate()
        self.nginx.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def answers(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    @staticmethod
    def wait_for(true, seconds, otherwise):
        end = time.monotonic() + seconds
        while not true():
            if time.monotonic() > end:
                raise SystemExit(otherwise)
            time.sleep(0.05)

    def url(self):
        return f"rtmp://127.0.0.1:{self.port}/live"

    def has_published(self, key):
        with open(f"{self.folder}/error.log") as log:
            return f"publish: name='{key}'" in log.read()

    def take_record(self, key):
        """The pictures, seconds and bit/s of the stream that was pushed as `key`; its file is deleted."""
        time.sleep(0.5)
        files = glob.glob(f"{self.records}/{key}-*.flv")
        if len(files) != 1:
            raise SystemExit(f"{key}: {len(files)} recordings instead of one")
        probe = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "packet=pts_time,size", "-of", "csv=p=0"]
        lines = subprocess.run(probe + files, capture_output=True, text=True, check=True).stdout.split()
        packets = [line.split(",")[:2] for line in lines]
        os.remove(files[0])
        seconds = float(packets[-1][0]) - float(packets[0][0])
        return len(packets), seconds, sum(int(size) for _, size in packets) * 8 / seconds


class Relay:
    """Passes one RTMP connection on to the ingest and notes the moment of its first coded picture."""

    def __init__(self, ingest):
        self.ingest = ingest
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.first_picture = None
        self.seen = threading.Event()
        threading.Thread(target=self.run, daemon=True).start()

    def url(self):
        return f"rtmp://127.0.0.1:{self.port}/live"

    def run(self):
        while True:
            client, _ = self.listener.accept()
            server = socket.create_connection(("127.0.0.1", self.ingest.port))
            threading.Thread(target=self.back, args=(server, client), daemon=True).start()
            reader = RtmpReader()
            while data := client.recv(65536):
                now = time.monotonic()
                if not self.seen.is_set() and reader.has_picture(data):
                    self.first_picture = now
                    self.seen.set()
                server.sendall(data)
            server.close()

    @staticmethod
    def back(server, client):
        try:
            while data := server.recv(65536):
                client.sendall(data)
        except OSError:
            pass


class RtmpReader:
    """As much of the RTMP chunk stream (RTMP 1.0, 5.3) as it takes to see a coded picture."""

    HANDSHAKE = 1 + 2 * 1536

    def __init__(self):
        self.buffer = bytearray()
        self.greeted = False
        self.chunk = 128
        self.streams = {}

    def has_picture(self, data):
        self.buffer += data
        if not self.greeted:
            if len(self.buffer) < self.HANDSHAKE:
                return False
            del self.buffer[:self.HANDSHAKE]
            self.greeted = True
        found = False
        while (message := self.next_chunk()) is not None:
            kind, body = message
            if kind == 1:
                self.chunk = struct.unpack(">I", body[:4])[0]
            # FLV video tag: codec in the low half byte, 1 = coded pictures (0 is the sequence header).
            found |= kind == 9 and len(body) > 1 and body[0] & 0x80 == 0 and body[1] == 1
        return found

    def next_chunk(self):
        """Takes a chunk; (type, body) when it ends a message, (None, b"") when not, None when more bytes are needed."""
        data = self.buffer
        if not data:
            return None
        form, stream, at = data[0] >> 6, data[0] & 63, 1
        if stream < 2:
            at += stream + 1
            stream = bytes(data[1:at])
        header = (11, 7, 3, 0)[form]
        if len(data) < at + header:
            return None
        length, kind, extended, body = self.streams.get(stream, (0, 0, False, b""))
        if form < 3:
            extended = data[at:at + 3] == b"\xff\xff\xff"
        if form < 2:
            length, kind = int.from_bytes(data[at + 3:at + 6], "big"), data[at + 6]
        at += header + (4 if extended else 0)
        part = min(self.chunk, length - len(body))
        if len(data) < at + part:
            return None
        body = body + bytes(data[at:at + part])
        del data[:at + part]
        done = len(body) == length
        self.streams[stream] = (length, kind, extended, b"" if done else body)
        return (kind, body) if done else (None, b"")
