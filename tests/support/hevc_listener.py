"""Takes one enhanced-RTMP push and writes it, not encoded anew, into an MP4: hevc_listener.py PORT KEY FILE.

nginx-rtmp records nothing of HEVC and ffmpeg 5.1 cannot read it; the ffmpeg in PyAV's wheels can.
"""

import sys

import av

port, key, path = sys.argv[1:]
with av.open(f"rtmp://127.0.0.1:{port}/live/{key}", options={"listen": "1"}) as source:
    kinds = {stream.type: stream for stream in source.streams}
    print("codecs:", kinds["video"].codec_context.name, kinds["audio"].codec_context.name, flush=True)
    with av.open(path, "w") as sink:
        streams = {stream.index: sink.add_stream_from_template(stream) for stream in kinds.values()}
        try:
            for packet in source.demux(*kinds.values()):
                if packet.dts is not None:
                    packet.stream = streams[packet.stream.index]
                    sink.mux(packet)
        except av.error.FFmpegError as error:
            # This is how the end of a push looks to a listener.
            print("ended:", error, flush=True)
