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

    def first_counter(self, key):
        """The counter in the first picture of the stream `key` (src/media/testcard.rs): 20 cells of a row, white is 1."""
        decode = ["ffmpeg", "-v", "error", "-i", glob.glob(f"{self.records}/{key}-*.flv")[0], "-frames:v", "1",
                  "-vf", "extractplanes=y", "-f", "rawvideo", "-"]
        luma = subprocess.run(decode, capture_output=True, check=True).stdout
        width, cell = 1280, (1280 // 32, 720 // 18)
        middle = cell[1] // 2 * width + cell[0] // 2
        bits = [luma[middle + number * cell[0]] > 126 for number in range(24)]
        if not bits[0] or bits[1] or sum(bits[2:22]) % 4 != bits[22] * 2 + bits[23]:
            raise SystemExit(f"{key}: the first picture's counter cannot be read")
        return sum(bit << (21 - number) for number, bit in enumerate(bits) if 2 <= number < 22)

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
    """Passes RTMP connections on to the ingest and notes when each coded picture was there: (its stamp in ms, seconds)."""

    def __init__(self, ingest):
        self.ingest = ingest
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.pictures = []
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
                for stamp in reader.pictures(data):
                    self.pictures.append((stamp, now))
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
    """As much of the RTMP chunk stream (RTMP 1.0, 5.3) as it takes to see coded pictures and their stamps."""

    HANDSHAKE = 1 + 2 * 1536

    def __init__(self):
        self.buffer = bytearray()
        self.greeted = False
        self.chunk = 128
        self.streams = {}

    def pictures(self, data):
        """The stamps (ms) of the pictures that end in `data`."""
        self.buffer += data
        if not self.greeted:
            if len(self.buffer) < self.HANDSHAKE:
                return []
            del self.buffer[:self.HANDSHAKE]
            self.greeted = True
        found = []
        while (message := self.next_chunk()) is not None:
            kind, stamp, body = message
            if kind == 1:
                self.chunk = struct.unpack(">I", body[:4])[0]
            # FLV video tag: codec in the low half byte, 1 = coded pictures (0 is the sequence header).
            if kind == 9 and len(body) > 1 and body[0] & 0x80 == 0 and body[1] == 1:
                found.append(stamp)
        return found

    def next_chunk(self):
        """Takes a chunk; (type, stamp, body) when it ends a message, (None, ...) when not, None when more is needed."""
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
        length, kind, extended, step, stamp, body = self.streams.get(stream, (0, 0, False, 0, 0, b""))
        if form < 3:
            step = int.from_bytes(data[at:at + 3], "big")
            extended = step == 0xffffff
        if form < 2:
            length, kind = int.from_bytes(data[at + 3:at + 6], "big"), data[at + 6]
        at += header
        if extended:
            if len(data) < at + 4:
                return None
            step = int.from_bytes(data[at:at + 4], "big") if form < 3 else step
            at += 4
        part = min(self.chunk, length - len(body))
        if len(data) < at + part:
            return None
        if not body:
            # A first chunk of form 3 repeats the step before it (5.3.1.2.4).
            stamp = step if form == 0 else stamp + step
        body = body + bytes(data[at:at + part])
        del data[:at + part]
        done = len(body) == length
        # After form 0 the step of a form 3 is its whole stamp; no peer here sends that.
        self.streams[stream] = (length, kind, extended, step, stamp, b"" if done else body)
        return (kind, stamp, body) if done else (None, stamp, b"")
