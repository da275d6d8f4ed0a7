# free_ports.py COUNT [TAKEN...]: print so many ports of 127.0.0.1 that nobody
# listens at, and that are none of those taken, which are not yet listened at.
#
# Below the range from which the system takes ports for outgoing connections.
import random
import socket
import sys

taken = {int(port) for port in sys.argv[2:]}
held = []
while len(held) < int(sys.argv[1]):
    port = random.randint(20000, 31999)
    if port in taken:
        continue
    candidate = socket.socket()
    try:
        candidate.bind(("127.0.0.1", port))
        held.append(candidate)
    except OSError:
        candidate.close()
for held_socket in held:
    print(held_socket.getsockname()[1])
