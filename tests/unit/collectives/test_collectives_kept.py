from hpctrain.collectives.kept import Kept


def test_one_more_than_the_most_empties_it_first() -> None:
    kept: Kept[int, str] = Kept(3)
    for number in range(3):
        kept[number] = str(number)
    assert kept == {0: "0", 1: "1", 2: "2"}
    kept[3] = "3"
    assert kept == {3: "3"}
