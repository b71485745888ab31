"""Texts of a wanted length, different for every request and the same for the same seed and salt.

Every prompt begins with words of its own, so that no server's prefix cache flatters the figures. How many tokens a word
has is the business of the server's tokenizer: `word_length.py` asks for it.
"""

import random
from collections.abc import Iterator

WORDS = tuple(
    """able about above across after again air all along also always among and animal answer any apple area
    around ask away back ball bank base bear beat become bed before begin behind below best better between big
    bird black blue board boat body book both bottom box boy bread break bring brown build burn business busy
    but buy call came can car care carry case catch cause chair change children choose circle city class clear
    climb clock close cloud cold color come common complete cook cool corner count country course cover cross
    cup current cut dance dark day deep desk develop different direct distance divide doctor dog door double
    down draw dream dress drink drive dry during each early earth east eat edge effect eight end engine enough
    enter even evening every exact example eye face fact fall family far farm fast father feel few field fight
    figure fill final find fine finger fire first fish five floor flow flower fly follow food foot force forest
    form forward four free fresh friend from front fruit full game garden gave general get girl give glass go
    gold good grass great green ground group grow guess hair half hand happen happy hard hat head hear heart
    heat heavy help here high hill history hold hole home horse hot hour house human hundred hunt ice idea inch
    island job join jump just keep key kind king knew know lake land language large last late laugh law lead
    learn leave left letter level life light line list listen little live long look lost lot love low machine
    main make many map mark market matter mean measure meet men metal middle mile milk mind minute miss money
    month moon more morning most mother mountain mouth move much music name near need never new next night nine
    north note nothing notice number ocean off office often oil old once one open order other over page paint
    pair paper part party pass past pattern people perhaps person picture piece place plain plan plane plant
    play point poor port power press problem produce public pull question quick quiet rain reach read ready real
    reason record red rest rich ride right ring river road rock room round rule run safe sail salt same sand say
    school science sea season second see seed send sentence serve seven several shape sharp ship short show side
    sign silver simple since sing sister sit six size skin sky sleep slow small snow soft soil some song soon
    sound south space speak special speed spell spring square stand star start state stay step still stone stop
    store story street strong student study such sugar summer sun sure surface swim table take talk tall teach
    team tell ten test than thank their then thing think third this thought thousand three through time together
    tomorrow touch toward town trade train travel tree true try turn two under until use valley very view
    village visit voice wait walk wall want war warm wash watch water way wear weather week weight well west
    wheel white who whole why wide wild wind window winter wish with woman wonder wood word work world write
    year yellow yesterday young""".split()
)


class PromptText:
    """Texts of one load test. Groups keep steps, warm-up and samples apart: none repeats another's words. Another salt
    gives other words of the same number."""

    def __init__(self, seed: int, salt: str = "") -> None:
        self._start = f"{seed}/{salt}" if salt else str(seed)

    def words(self, group: str, index: int, num_words: int) -> str:
        """`num_words` words that only (group, index) has."""
        return " ".join(random.Random(f"{self._start}/{group}/{index}").choices(WORDS, k=num_words))

    def with_shared(self, group: str, index: int, num_words: int, shared_words: int) -> str:
        """`num_words` words, the first `shared_words` of them equal in all requests."""
        own = self.words(group, index, num_words - shared_words)
        return f"{self.words('shared', 0, shared_words)} {own}" if shared_words > 0 else own


def arrival_gaps(seed: int, rate: float) -> Iterator[float]:
    """Endless seconds between Poisson arrivals of `rate` a second."""
    source = random.Random(f"{seed}/arrivals")
    while True:
        yield source.expovariate(rate)
