"""An SRT listener that takes callers by their stream id, through Debian's libsrt.

    srt_listener.py PORT

`taken` is refused as in use, `late` as the service being down, anything but `camera/1` as not known.
"""

import ctypes
import sys

srt = ctypes.CDLL("libsrt-gnutls.so.1.5")
Hook = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p
)
REFUSED = {b"taken": 1409, b"late": 1503, b"": 1400}


@Hook
def hook(_opaque, socket, _version, _peer, stream_id):
    if stream_id == b"camera/1":
        return 0
    srt.srt_setrejectreason(socket, REFUSED.get(stream_id, 1403))
    return -1


class Address(ctypes.Structure):
    _fields_ = [("family", ctypes.c_uint16), ("port", ctypes.c_uint16), ("host", ctypes.c_uint8 * 4), ("zero", ctypes.c_uint8 * 8)]


port = int(sys.argv[1])
address = Address(2, int.from_bytes(port.to_bytes(2, "big"), sys.byteorder), (ctypes.c_uint8 * 4)(127, 0, 0, 1))
srt.srt_startup()
listener = srt.srt_create_socket()
assert srt.srt_bind(listener, ctypes.byref(address), ctypes.sizeof(address)) == 0
assert srt.srt_listen(listener, 5) == 0
assert srt.srt_listen_callback(listener, hook, None) == 0
packet = ctypes.create_string_buffer(1500)
while True:
    caller = srt.srt_accept(listener, None, None)
    while srt.srt_recv(caller, packet, len(packet)) > 0:
        pass
    srt.srt_close(caller)
