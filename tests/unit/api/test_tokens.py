from trading_system.api.tokens import Role, Tokens

TOKENS = Tokens(control="c", read="r")


def test_each_token_has_its_role_and_everything_else_none() -> None:
    assert TOKENS.role_of(b"Bearer c") is Role.CONTROL
    assert TOKENS.role_of(b"Bearer r") is Role.READ
    for other in (b"", b"c", b"Bearer ", b"Bearer cc", b"Basic c", b"Bearer \xff", b"bearer  c"):
        assert TOKENS.role_of(other) is None


def test_fresh_tokens_differ_and_are_long() -> None:
    first, second = Tokens.fresh(), Tokens.fresh()
    assert len({first.control, first.read, second.control, second.read}) == 4
    assert min(len(first.control), len(first.read)) >= 43


def test_tokens_never_show_in_a_text() -> None:
    tokens = Tokens.fresh()
    assert tokens.control not in f"{tokens} {tokens!r}"
    assert tokens.read not in f"{tokens} {tokens!r}"
