from trading_system.simulation.bybit_server.connection_guard import ConnectionGuard
from trading_system.simulation.bybit_server.options import ServerOptions


class FakeConnection:
    def __init__(self):
        self.transport = self
        self.is_dropped = False

    def abort(self):
        self.is_dropped = True


def make(**options):
    return ConnectionGuard(ServerOptions(**options)), [FakeConnection() for _ in range(4)]


def test_silent_connection_is_dropped_after_its_time():
    guard, (silent, busy, *_) = make(header_timeout_s=10)
    guard.note_request(busy)
    assert guard.sweep([silent, busy], now_s=100) == 0
    assert guard.sweep([silent, busy], now_s=109) == 0
    assert guard.sweep([silent, busy], now_s=110) == 1
    assert (silent.is_dropped, busy.is_dropped) == (True, False)


def test_connections_beyond_the_bound_get_no_answer():
    guard, connections = make(max_connections=2)
    assert [guard.note_request(each) for each in connections] == [True, True, False, False]
    assert guard.note_request(connections[0])


def test_closed_connections_make_room_at_once():
    guard, connections = make(max_connections=2)
    for each in connections[:2]:
        guard.note_request(each)
    connections[0].transport = None
    assert guard.note_request(connections[2])


def test_silent_connections_share_the_bound():
    guard, connections = make(max_connections=2)
    guard.note_request(connections[0])
    assert guard.sweep(connections, now_s=1) == 2
    assert [each.is_dropped for each in connections] == [False, False, True, True]
