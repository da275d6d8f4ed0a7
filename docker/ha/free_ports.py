# free_ports.py COUNT: print so many ports of 127.0.0.1 that nobody listens at.
#
# Below the range from which the system takes ports for outgoing connections.
import random
import socket
import sys

held = []
while len(held) < int(sys.argv[1]):
    candidate = socket.socket()
    try:
        candidate.bind(("127.0.0.1", random.randint(20000, 31999)))
        held.append(candidate)
    except OSError:
        candidate.close()
for held_socket in held:
    print(held_socket.getsockname()[1])
