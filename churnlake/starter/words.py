"""Words in column names, and what columns of such names tend to be. English and German; a guess, always told as one."""

import re
from collections.abc import Collection


def _known(text: str) -> frozenset[str]:
    return frozenset(text.split())


CUSTOMER = _known(
    "customer customers client user member account subscriber student patient buyer shopper player guest "
    "household cust msisdn customerid clientid userid memberid accountid kunde kunden kundennr kundennummer kundenid "
    "konto mitglied mitgliedsnummer mitgliedsnr"
)
ID = _known("id no nr num number key code uuid guid nummer sku zip plz postcode phone")
TIME = _known("date day time timestamp datetime ts at on when datum zeit tag start end since until")
EVENT = _known("order ordered invoice event transaction purchase purchased sold sale created placed submitted")
NOT_AN_EVENT = _known("birth birthday born dob updated modified loaded exported due week signup geburtsdatum")
TOTAL = _known(
    "total amount value revenue sum charge charges paid payment turnover betrag summe umsatz spend spent "
    "dollar eur usd gbp sales"
)
PRICE = _known("price cost fee rate preis kosten gebuehr tarif")
QUANTITY = _known("quantity qty units pieces menge anzahl stueck cds items clicks click")
TYPE = _known("type kind action event category channel art state status vorgang")
PRODUCT = _known("product item sku stock article artikel produkt site page assessment plan")
START = _known("start started begin begins from registration registered activated opened since beginn signup joined")
END = _known(
    "end ended until unregistration cancelled canceled cancellation terminated closed left ende kuendigung churned to"
)
EXPIRY = _known("expire expires expired expiry expiration ablauf")
PAID, UNTIL = _known("paid valid bezahlt gueltig"), _known("until to through till bis")
CANCEL = _known("cancel cancels cancelled canceled cancellation kuendigung")
AUTO_RENEWAL = _known("auto automatic autorenew")
RENEWAL = _known("renew renews renewal renewed")
PLAN = _known("plan tariff tarif package product contract abo abonnement vertrag")
CHURN = _known("churn churned churner attrition exited left lost cancelled canceled gekuendigt")
OUTCOME = CHURN | _known("result outcome status withdrawn exit")
PROTECTED = _known(
    "gender sex age birth birthday dob ethnicity ethnic race religion disability disabled nationality "
    "geschlecht alter senior citizen marital"
)
LASTING = _known("gender sex birth birthday dob ethnicity race nationality country region disability geschlecht")
PURCHASE = _known("purchase sale sold order buy bought paid payment kauf bestellung")


def words(name: str) -> tuple[str, ...]:
    """The words of a name: `customerID` and `customer_id` are customer, id."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return tuple(re.findall(r"[a-z]+", spaced.lower()))


def speaks_of(name: str, known: Collection[str]) -> bool:
    """Whether a word of the name is one of the known ones."""
    return any(word in known for word in words(name))


def says_paid_until(name: str) -> bool:
    """Whether a name is one of days until which something is paid: `expires_on`, `paid_until`."""
    return speaks_of(name, EXPIRY) or (speaks_of(name, PAID) and speaks_of(name, UNTIL))


def is_id(name: str) -> bool:
    """Whether a name is one of numbers that are never computed with: `InvoiceNo`, `id_student`, `StockCode`."""
    told = words(name)
    return bool(told) and (told[-1] in ID or told[0] == "id" or (len(told) == 1 and told[0] in CUSTOMER))
