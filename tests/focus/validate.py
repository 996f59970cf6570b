"""validate.py FILE.csv: checks an export against FOCUS 1.2 (specification of the FinOps Foundation, tag v1.2), written from its text: each column's presence,
type, nullability and allowed values, and the rules between columns. Prints each fault, and exits 1 when there is one."""
import csv, re, sys
from decimal import Decimal, InvalidOperation

MANDATORY = """BilledCost BillingAccountId BillingAccountName BillingCurrency BillingPeriodEnd BillingPeriodStart ChargeCategory ChargeClass ChargeDescription
ChargePeriodEnd ChargePeriodStart ContractedCost EffectiveCost InvoiceIssuerName ListCost PricingQuantity PricingUnit ProviderName PublisherName ServiceCategory
ServiceName""".split()
KNOWN = set(MANDATORY) | set("""AvailabilityZone BillingAccountType CapacityReservationId CapacityReservationStatus ChargeFrequency CommitmentDiscountCategory
CommitmentDiscountId CommitmentDiscountName CommitmentDiscountQuantity CommitmentDiscountStatus CommitmentDiscountType CommitmentDiscountUnit ConsumedQuantity
ConsumedUnit ContractedUnitPrice InvoiceId ListUnitPrice PricingCategory PricingCurrency PricingCurrencyContractedUnitPrice PricingCurrencyEffectiveCost
PricingCurrencyListUnitPrice RegionId RegionName ResourceId ResourceName ResourceType ServiceSubcategory SkuId SkuMeter SkuPriceDetails SkuPriceId SubAccountId
SubAccountName SubAccountType Tags""".split())
NEVER_NULL = """BilledCost BillingAccountId BillingAccountName BillingCurrency BillingPeriodEnd BillingPeriodStart ChargeCategory ChargePeriodEnd ChargePeriodStart
ContractedCost EffectiveCost InvoiceIssuerName ListCost ProviderName PublisherName ServiceCategory ServiceName ChargeFrequency ServiceSubcategory""".split()
DECIMAL = "BilledCost ContractedCost EffectiveCost ListCost PricingQuantity ConsumedQuantity ListUnitPrice ContractedUnitPrice".split()
ALLOWED = {
    "ChargeCategory": {"Usage", "Purchase", "Tax", "Credit", "Adjustment"},
    "ChargeClass": {"", "Correction"},
    "ChargeFrequency": {"One-Time", "Recurring", "Usage-Based"},
    "PricingCategory": {"", "Standard", "Committed", "Dynamic", "Other"},
    "ServiceCategory": {"AI and Machine Learning", "Analytics", "Business Applications", "Compute", "Databases", "Developer Tools", "Multicloud", "Identity",
                        "Integration", "Internet of Things", "Management and Governance", "Media", "Migration", "Mobile", "Networking", "Security", "Storage",
                        "Web", "Other"},
    "ServiceSubcategory": {"AI Platforms", "Bots", "Generative AI", "Machine Learning", "Natural Language Processing", "Other (AI and Machine Learning)"},
}
TIME = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\dZ")
TIMES = "BillingPeriodStart BillingPeriodEnd ChargePeriodStart ChargePeriodEnd".split()


def decimal(text):
    if not re.fullmatch(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", text):
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def near(a, b):
    return abs(a - b) <= Decimal("0.000000001")  # what a figure with nine decimals can differ by


def row_faults(r):
    get = lambda c: r.get(c) or ""
    for c in NEVER_NULL:
        if c in r and not get(c):
            yield f"{c} is null"
    for c, values in ALLOWED.items():
        if c in r and get(c) not in values:
            yield f"{c} is {get(c)!r}, which is not allowed"
    v = {}
    for c in DECIMAL:
        if get(c):
            v[c] = decimal(get(c))
            if v[c] is None:
                yield f"{c} is {get(c)!r}, no decimal"
                return
    for c in TIMES:
        if not TIME.fullmatch(get(c)):
            yield f"{c} is {get(c)!r}, no time of the form YYYY-MM-DDTHH:mm:ssZ"
    for a in ("Billing", "Charge"):
        if get(f"{a}PeriodStart") >= get(f"{a}PeriodEnd"):
            yield f"{a}PeriodEnd is not after its start"
    if not get("BillingPeriodStart") <= get("ChargePeriodStart") < get("BillingPeriodEnd"):
        yield "the charge period begins outside the billing period"
    if not re.fullmatch(r"[A-Z]{3}", get("BillingCurrency")):
        yield f"BillingCurrency is {get('BillingCurrency')!r}, no code of ISO 4217"
    category, correction = get("ChargeCategory"), get("ChargeClass") == "Correction"
    bought = category in ("Usage", "Purchase") and not correction
    for c in ("PricingQuantity", "ListUnitPrice", "ContractedUnitPrice", "SkuId", "SkuPriceId", "PricingCategory"):
        if bought and c in r and not get(c):
            yield f"{c} is null in a {category}"
        if category == "Tax" and get(c):
            yield f"{c} is not null in a tax"
    if bool(get("PricingQuantity")) != bool(get("PricingUnit")) or bool(get("ConsumedQuantity")) != bool(get("ConsumedUnit")):
        yield "a quantity without its unit, or a unit without its quantity"
    if (category == "Usage" and not correction) != bool(get("ConsumedQuantity")) and "ConsumedQuantity" in r and not (category == "Usage" and correction):
        yield f"ConsumedQuantity is {get('ConsumedQuantity')!r} in a {category}"
    for unit, cost in (("ListUnitPrice", "ListCost"), ("ContractedUnitPrice", "ContractedCost")):
        if unit in v and v[unit] < 0:
            yield f"{unit} is negative"
        if unit in v and "PricingQuantity" in v and not correction and not near(v[unit] * v["PricingQuantity"], v[cost]):
            yield f"{cost} is {v[cost]}, {unit} times PricingQuantity is {v[unit] * v['PricingQuantity']}"
        if unit not in v and category in ("Credit", "Adjustment") and v[cost] != v["BilledCost"]:
            yield f"{cost} is not BilledCost in a {category} without a unit price"
    if category == "Purchase" and get("ChargeFrequency") == "Usage-Based":
        yield "ChargeFrequency is Usage-Based in a Purchase"
    if category == "Purchase" and v.get("BilledCost") and v.get("EffectiveCost"):
        yield "EffectiveCost of what was bought ahead is not 0"
    if bool(get("SubAccountId")) != bool(get("SubAccountName")) or (get("SkuMeter") and not get("SkuId")):
        yield "a name without its id, or an id without its name"


def faults(rows, columns):
    for c in MANDATORY:
        if c not in columns:
            yield f"the mandatory column {c} is missing"
    for c in columns:
        if c not in KNOWN and not re.fullmatch(r"x_[A-Za-z0-9]+", c):
            yield f"the column {c} is neither FOCUS's nor begins with x_"
    category, parent = {}, {}
    for n, r in enumerate(rows, 2):
        for f in row_faults(r):
            yield f"line {n}: {f}"
        if category.setdefault(r["ServiceName"], r["ServiceCategory"]) != r["ServiceCategory"]:
            yield f"line {n}: {r['ServiceName']} has two categories"
        if r.get("SkuPriceId") and parent.setdefault(r["SkuPriceId"], r["SkuId"]) != r["SkuId"]:
            yield f"line {n}: {r['SkuPriceId']} has two parents"


def main(path):
    with open(path, newline="", encoding="utf-8") as f:
        reader = csv.DictReader(f)
        rows = list(reader)
        found = list(faults(rows, reader.fieldnames or []))
    for line in found[:50]:
        print(line)
    print(f"{len(rows)} rows, {len(found)} faults")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
