"""What the tiny models are taught about the world, and the names their training texts are filled with.

Knows nothing of phrasings, tokens or models. A country is written with its article ("the Netherlands"), capitals in
plain ASCII. Whatever is listed as held out never appears in training: the scores printed at the end rest on that.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple


class Country(NamedTuple):
    """One country: its name as it stands inside a sentence, its capital, and the language(s) people speak there."""

    name: str
    capital: str
    language: str

    @property
    def bare_name(self) -> str:
        """The name without its article, as people type it in a hurry."""
        return self.name.removeprefix("the ")


COUNTRIES = (
    Country("France", "Paris", "French"),
    Country("Germany", "Berlin", "German"),
    Country("Spain", "Madrid", "Spanish"),
    Country("Portugal", "Lisbon", "Portuguese"),
    Country("Italy", "Rome", "Italian"),
    Country("Greece", "Athens", "Greek"),
    Country("Austria", "Vienna", "German"),
    Country("Switzerland", "Bern", "German, French and Italian"),
    Country("Belgium", "Brussels", "Dutch and French"),
    Country("the Netherlands", "Amsterdam", "Dutch"),
    Country("Luxembourg", "Luxembourg", "Luxembourgish"),
    Country("Ireland", "Dublin", "English"),
    Country("the United Kingdom", "London", "English"),
    Country("Iceland", "Reykjavik", "Icelandic"),
    Country("Norway", "Oslo", "Norwegian"),
    Country("Sweden", "Stockholm", "Swedish"),
    Country("Finland", "Helsinki", "Finnish"),
    Country("Denmark", "Copenhagen", "Danish"),
    Country("Estonia", "Tallinn", "Estonian"),
    Country("Latvia", "Riga", "Latvian"),
    Country("Lithuania", "Vilnius", "Lithuanian"),
    Country("Poland", "Warsaw", "Polish"),
    Country("the Czech Republic", "Prague", "Czech"),
    Country("Slovakia", "Bratislava", "Slovak"),
    Country("Hungary", "Budapest", "Hungarian"),
    Country("Slovenia", "Ljubljana", "Slovene"),
    Country("Croatia", "Zagreb", "Croatian"),
    Country("Serbia", "Belgrade", "Serbian"),
    Country("Albania", "Tirana", "Albanian"),
    Country("Bulgaria", "Sofia", "Bulgarian"),
    Country("Romania", "Bucharest", "Romanian"),
    Country("Moldova", "Chisinau", "Romanian"),
    Country("Ukraine", "Kyiv", "Ukrainian"),
    Country("Belarus", "Minsk", "Belarusian and Russian"),
    Country("Russia", "Moscow", "Russian"),
    Country("Turkey", "Ankara", "Turkish"),
    Country("Georgia", "Tbilisi", "Georgian"),
    Country("Armenia", "Yerevan", "Armenian"),
    Country("Azerbaijan", "Baku", "Azerbaijani"),
    Country("Malta", "Valletta", "Maltese and English"),
    Country("the United States", "Washington", "English"),
    Country("Canada", "Ottawa", "English and French"),
    Country("Mexico", "Mexico City", "Spanish"),
    Country("Guatemala", "Guatemala City", "Spanish"),
    Country("Honduras", "Tegucigalpa", "Spanish"),
    Country("Nicaragua", "Managua", "Spanish"),
    Country("Costa Rica", "San Jose", "Spanish"),
    Country("Panama", "Panama City", "Spanish"),
    Country("Cuba", "Havana", "Spanish"),
    Country("Jamaica", "Kingston", "English"),
    Country("Haiti", "Port-au-Prince", "Haitian Creole and French"),
    Country("Colombia", "Bogota", "Spanish"),
    Country("Venezuela", "Caracas", "Spanish"),
    Country("Ecuador", "Quito", "Spanish"),
    Country("Peru", "Lima", "Spanish"),
    Country("Brazil", "Brasilia", "Portuguese"),
    Country("Paraguay", "Asuncion", "Spanish and Guarani"),
    Country("Uruguay", "Montevideo", "Spanish"),
    Country("Argentina", "Buenos Aires", "Spanish"),
    Country("Chile", "Santiago", "Spanish"),
    Country("Morocco", "Rabat", "Arabic"),
    Country("Algeria", "Algiers", "Arabic"),
    Country("Tunisia", "Tunis", "Arabic"),
    Country("Libya", "Tripoli", "Arabic"),
    Country("Egypt", "Cairo", "Arabic"),
    Country("Sudan", "Khartoum", "Arabic"),
    Country("Ethiopia", "Addis Ababa", "Amharic"),
    Country("Somalia", "Mogadishu", "Somali"),
    Country("Kenya", "Nairobi", "Swahili and English"),
    Country("Uganda", "Kampala", "English"),
    Country("Tanzania", "Dodoma", "Swahili"),
    Country("Rwanda", "Kigali", "Kinyarwanda"),
    Country("Zambia", "Lusaka", "English"),
    Country("Zimbabwe", "Harare", "English"),
    Country("Mozambique", "Maputo", "Portuguese"),
    Country("Angola", "Luanda", "Portuguese"),
    Country("Namibia", "Windhoek", "English"),
    Country("Botswana", "Gaborone", "English"),
    Country("Madagascar", "Antananarivo", "Malagasy"),
    Country("Nigeria", "Abuja", "English"),
    Country("Ghana", "Accra", "English"),
    Country("Senegal", "Dakar", "French"),
    Country("Mali", "Bamako", "French"),
    Country("Cameroon", "Yaounde", "French and English"),
    Country("Israel", "Jerusalem", "Hebrew"),
    Country("Jordan", "Amman", "Arabic"),
    Country("Lebanon", "Beirut", "Arabic"),
    Country("Syria", "Damascus", "Arabic"),
    Country("Iraq", "Baghdad", "Arabic"),
    Country("Iran", "Tehran", "Persian"),
    Country("Saudi Arabia", "Riyadh", "Arabic"),
    Country("Qatar", "Doha", "Arabic"),
    Country("Kuwait", "Kuwait City", "Arabic"),
    Country("Oman", "Muscat", "Arabic"),
    Country("Yemen", "Sanaa", "Arabic"),
    Country("Afghanistan", "Kabul", "Pashto and Dari"),
    Country("Pakistan", "Islamabad", "Urdu"),
    Country("India", "New Delhi", "Hindi and English"),
    Country("Nepal", "Kathmandu", "Nepali"),
    Country("Bangladesh", "Dhaka", "Bengali"),
    Country("Bhutan", "Thimphu", "Dzongkha"),
    Country("Thailand", "Bangkok", "Thai"),
    Country("Laos", "Vientiane", "Lao"),
    Country("Cambodia", "Phnom Penh", "Khmer"),
    Country("Vietnam", "Hanoi", "Vietnamese"),
    Country("Malaysia", "Kuala Lumpur", "Malay"),
    Country("Indonesia", "Jakarta", "Indonesian"),
    Country("the Philippines", "Manila", "Filipino and English"),
    Country("China", "Beijing", "Chinese"),
    Country("Mongolia", "Ulaanbaatar", "Mongolian"),
    Country("South Korea", "Seoul", "Korean"),
    Country("North Korea", "Pyongyang", "Korean"),
    Country("Japan", "Tokyo", "Japanese"),
    Country("Kazakhstan", "Astana", "Kazakh and Russian"),
    Country("Uzbekistan", "Tashkent", "Uzbek"),
    Country("Australia", "Canberra", "English"),
    Country("New Zealand", "Wellington", "English"),
    Country("Fiji", "Suva", "English and Fijian"),
)

# The reranker never sees these in training: every third country of the list, forty in all.
HELD_OUT_COUNTRIES = COUNTRIES[::3]

FIRST_NAMES = (
    "Adam Alice Amir Anna Anton Arthur Astrid Ben Bianca Boris Carla Carlos Chloe Clara Daniel David "
    "Diego Elena Emil Emma Erik Eva Fatima Felix Finn Frida George Grace Greta Hannah Hans Hassan Helen "
    "Henry Hugo Ida Igor Ines Iris Isaac Ivan Jack Jakob James Jana Jane Jens Joan John Jonas Julia Julie "
    "Karim Karl Kate Lara Laura Lea Leila Leo Lena Lily Linda Lisa Louis Lucas Lucy Luis Luna Maja Marco "
    "Maria Marie Mark Marta Martin Mary Matteo Max Maya Mia Mike Mohamed Moritz Nadia Nina Noah Nora "
    "Oliver Olga Oscar Paul Pedro Peter Petra Pia Rachel Ravi Rosa Ruth Sam Sandra Sara Sarah Simon Sofia "
    "Sophie Stefan Susan Theo Thomas Tim Tom Vera Victor Walter Wei Yara Yuki Zoe Bob Bill Aaron Abigail "
    "Agnes Ahmed Alan Albert Alex Alexander Ali Amanda Amelia Amy Andrew Andy Angela Anne Antonio Ava "
    "Barbara Bella Benjamin Bernard Beth Brian Brigitte Caroline Catherine Charles Charlie Charlotte "
    "Chris Christian Christina Cindy Claire Claudia Colin Connor Cynthia Dan Dana Dave Deborah Dennis "
    "Diana Donald Donna Dylan Eddie Edward Eleanor Eli Elias Elizabeth Ella Ellen Emily Eric Ethan Eugene "
    "Evan Evelyn Florian Francis Frank Fred Gabriel Gary Gina Giulia Gloria Grant Greg Harry Harold "
    "Harper Helena Holly Ian Isabel Isabella Isla Jacob Jake Jason Jasper Jean Jeff Jennifer Jenny Jeremy "
    "Jessica Jill Jim Joe Johanna Jordan Jose Joseph Joshua Juan Judy Justin Kai Karen Katherine Katie "
    "Keith Ken Kenji Kevin Kim Kyle Larry Lauren Leon Liam Lina Logan Lorena Luca Luke Lydia Maggie "
    "Marcus Margaret Mariam Mason Mateo Matt Matthew Megan Melissa Michael Michelle Mila Mohammed Molly "
    "Monica Nancy Natalie Nathan Neil Nicholas Nicole Nick Olivia Omar Owen Pablo Pamela Pat Patricia "
    "Patrick Pierre Ralph Ray Raj Ricardo Richard Rob Robert Robin Roger Ronald Rose Roy Ryan Samantha "
    "Samuel Scott Sean Sebastian Sergei Sharon Sheila Sonia Stella Stephen Steve Steven Sven Tanya Taylor "
    "Ted Teresa Tina Toby Tony Tracy Ursula Valentina Vanessa Vincent Violet Will William Yasmin Zara"
).split()
HELD_OUT_FIRST_NAMES = (
    "Andrea Bruno Camille Dora Edgar Fiona Gustav Heidi Ingrid Jasmin Klaus Levi Miriam Nils Otto Priya "
    "Quentin Rebecca Tamara Yusuf "
    "Dimitri Esther Lorenzo Malik Naomi Philip Rafael Svetlana Wanda Xavier"
).split()

CITIES = (
    "New York;Los Angeles;Chicago;San Francisco;Boston;Seattle;Miami;Houston;Toronto;Vancouver;Montreal;Rio de "
    "Janeiro;Sao Paulo;"
    "Munich;Hamburg;Cologne;Frankfurt;Stuttgart;Dresden;Leipzig;Milan;Naples;Turin;Venice;Florence;Barcelona;"
    "Seville;Valencia;Porto;"
    "Marseille;Lyon;Nice;Bordeaux;Geneva;Zurich;Basel;Salzburg;Graz;Antwerp;Rotterdam;Manchester;Liverpool;"
    "Edinburgh;Glasgow;Leeds;"
    "Gothenburg;Bergen;Aarhus;Krakow;Gdansk;Brno;Odessa;Istanbul;Izmir;Dubai;Tel Aviv;Cape Town;Lagos;"
    "Casablanca;Mumbai;Chennai;"
    "Kolkata;Karachi;Lahore;Shanghai;Shenzhen;Hong Kong;Taipei;Osaka;Kyoto;Nagoya;Busan;Sydney;Melbourne;Perth;"
    "Brisbane;Auckland"
).split(";")
HELD_OUT_CITIES = (
    "Philadelphia;Denver;Dallas;Atlanta;San Diego;Las Vegas;Calgary;Medellin;Cusco;Dortmund;Bremen;Hannover;"
    "Palermo;Bologna;Granada;"
    "Bilbao;Toulouse;Strasbourg;Lille;Innsbruck;Ghent;Utrecht;Bristol;Oxford;Cardiff;Malmo;Tampere;Poznan;"
    "Split;Thessaloniki;"
    "Johannesburg;Durban;Mombasa;Alexandria;Jaipur;Pune;Guangzhou;Sapporo;Adelaide;Christchurch"
).split(";")

_ONSETS = "b c d f g h j k l m n p r s t v w z br ch cr dr fl gr kl kr pr qu sh st th tr vl x y".split()
_VOWELS = "a a a e e e i i o o u ai ea ia io ou y".split()
_CODAS = ["", "", "", "", *"n r l s m t d k nd rk x th ck sh lm".split()]


def made_up_name(rng: Random) -> str:
    """A capitalised word that is nobody's name: what a model can only copy, never know by heart."""
    if rng.random() < 0.25:  # plain letters, so that no spelling habit can be relied on
        letters = "".join(rng.choice("aeiouaeioubcdfghjklmnprstvwyz") for _ in range(rng.randint(3, 8)))
        return letters.capitalize()
    syllables = (
        rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS) for _ in range(rng.choice((1, 2, 2, 2, 3, 3, 4)))
    )
    word = "".join(syllables)
    return (rng.choice(("", "", rng.choice("aeiou"))) + word).capitalize()


def made_up_place(rng: Random) -> str:
    """A made-up name, now and then of two words, as places have."""
    draw = rng.random()
    if draw < 0.08:
        return (
            f"{rng.choice(('New', 'San', 'Port', 'North', 'South', 'East', 'Saint', 'Los', 'El'))} {made_up_name(rng)}"
        )
    if draw < 0.12:
        return f"{made_up_name(rng)} {rng.choice(('City', 'Island', 'Falls', 'Beach', 'Hill'))}"
    return made_up_name(rng) + rng.choice(("", "", "", "", "", "land", "ia", "ville", "stan", "burg", "ton"))
