"""What the landing bucket says about itself, before any other stage is asked."""

from audit.bronze import State
from audit.chain import breaks
from audit.model import Check, Partition, bad, good
from audit.objects import Bronze

_WHOLE = "an object is what its key and metadata say (sha256, count, offsets, timestamps)"
_CHAIN = "intervals form one chain from 0: no gap, no overlap (I2)"


def judge(state: State) -> list[Check]:
    """Return the checks of keys, versions, objects and chains."""
    checks = [_versions(state), *_keys(state)]
    for place, items in sorted(state.objects.items()):
        checks += [*_objects(place, items), *_chain(place, items)]
    return checks


def _keys(state: State) -> list[Check]:
    seen = "what an audit has seen stays as it was (I3)"
    return [
        _named("bronze.keys", "every key fits the scheme", state.strangers, "{} fits no object"),
        _named("bronze.deleted", "nothing is ever deleted (I3)", state.deleted, "{} was deleted"),
        _named("bronze.vanished", seen, state.vanished, "{} was there at an earlier audit"),
        _named("bronze.changed", seen, state.changed, "{} is not what an earlier audit read"),
    ]


def _named(name: str, invariant: str, keys: list[str], text: str) -> Check:
    if not keys:
        return good(name, invariant)
    return bad(name, invariant, text.format(keys[0]), keys, differences=len(keys))


def _versions(state: State) -> Check:
    name, invariant = "bronze.versions", "every key has been written once (I3)"
    if state.versioned is None:
        return Check(name, invariant, "skipped", "this store keeps no versions of an object")
    if not state.versioned:
        return bad(name, invariant, "the bucket keeps no versions: an overwrite leaves no trace")
    return _named(name, invariant, state.second, "{} was overwritten: it has a second version")


def _objects(place: Partition, items: list[Bronze]) -> list[Check]:
    broken = [item for item in items if item.problems]
    return [
        bad("bronze.objects", _WHOLE, f"{item.key}: {'; '.join(item.problems)}", [item.key], place)
        for item in broken
    ] or [good("bronze.objects", _WHOLE, place, expected=len(items), found=len(items))]


def _chain(place: Partition, items: list[Bronze]) -> list[Check]:
    return [
        bad(
            "bronze.chain",
            _CHAIN,
            f"{place}: {found.text()}",
            found.offsets() or [found.key],
            place,
            differences=max(1, found.last - found.first),
        )
        for found in breaks([item.link() for item in items])
    ] or [good("bronze.chain", _CHAIN, place, found=len(items))]
