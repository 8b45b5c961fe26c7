"""Fields: every field of a journey as marketers see it: its section, label, hint and control."""

from dataclasses import dataclass

from notifications.studio.journey_pages.audience_input import audience
from notifications.studio.journey_pages.inputs import (
    Input,
    channels,
    duration,
    money,
    percent,
    percents,
    quiet,
    regions,
    share,
    switch,
    text,
    whole,
)
from notifications.studio.journey_pages.steps_input import reentry, steps
from notifications.studio.journey_pages.trigger_input import OWNERS, trigger, usual_duration, usual_percent


@dataclass(frozen=True, kw_only=True)
class Field:
    """A field of `Journey` by its name there. `unit` stands behind the control."""

    name: str
    label: str
    input: Input
    hint: str
    unit: str = ""

    @property
    def triggers(self) -> str:
        """The triggers that have this setting, by their first words; empty: every one."""
        return OWNERS.get(self.name, "")


@dataclass(frozen=True, kw_only=True)
class Section:
    """Fields that belong together. `more`: few need them, so that they are folded up while they are as usual."""

    title: str
    lead: str
    fields: tuple[Field, ...]
    more: bool = False


def _field(name: str, label: str, input: Input, hint: str, unit: str = "") -> Field:
    return Field(name=name, label=label, input=input, hint=hint, unit=unit)


SECTIONS = (
    Section(
        title="Trigger",
        lead="What starts this journey for a shopper.",
        fields=(
            _field(
                "trigger",
                "Starts when",
                trigger(),
                "Shoppers who bought meanwhile get nothing. What happened before it was on starts nothing.",
            ),
            _field(
                "trigger_after",
                "Nothing followed for",
                usual_duration(),
                "After the last look (0: 1 hour) or the last order (0: 60 days).",
            ),
            _field(
                "trigger_within",
                "Cart left in the last",
                usual_duration(),
                "Carts that were left longer ago start nothing. 0: 30 days.",
            ),
            _field(
                "price_drop_percent",
                "Smallest fall of the price",
                usual_percent(),
                "Against the catalogue's price when the cart was left. 0: 5 %.",
                "%",
            ),
        ),
    ),
    Section(
        title="Status",
        lead="Whether this journey runs, and what it sends.",
        fields=(
            _field("active", "Running", switch("on", "off"), "Off starts nothing and ends what is under way."),
            _field("template", "Template", text("choice"), "The mail and the card that shoppers get."),
            _field("channels", "Channels", channels(), "An offer goes by those that are open to the shopper."),
            _field("priority", "Priority", whole(), "Where shoppers may get fewer offers, higher numbers go first."),
        ),
    ),
    Section(
        title="Steps",
        lead="What is sent one after another, and the variants that are tried against each other.",
        fields=(
            _field(
                "steps",
                "Steps",
                steps(),
                "A run ends when its shopper buys or unsubscribes, or the cart changes. A discount of a step counts "
                "instead of What they get: everybody gets just that. Likely buyers, and who is above a limit or "
                "budget, get the reminder without it, and nothing is sent where it is known not to pay.",
            ),
        ),
    ),
    Section(
        title="What they get",
        lead="How deep a discount may be, and what has to remain.",
        fields=(
            _field("discount_percent", "Discount", whole("%"), "Sent where there are no depths to choose among.", "%"),
            _field(
                "discount_depths",
                "Discounts to choose among",
                percents(),
                "The one that pays best is taken, such as 0, 5, 10, 15. 0 is a reminder without a discount.",
                "%",
            ),
        ),
    ),
    Section(
        title="To whom",
        lead="Which carts are answered.",
        fields=(
            _field(
                "minimum_value", "Smallest cart", money(), "Carts below this get no offer. Leave empty for any cart."
            ),
            _field(
                "audience",
                "Only for carts that meet",
                audience(),
                "What is not known meets nothing. Where there is no cart, what was looked at counts as one.",
            ),
        ),
    ),
    Section(
        title="Bounds of a discount",
        lead="What it may be worth at most, and who gets none.",
        fields=(
            _field("max_discount_percent", "Deepest discount", whole("%"), "No discount is deeper than this.", "%"),
            _field("max_discount", "Largest discount", money(), "No discount is worth more than this."),
            _field(
                "no_discount_from",
                "No discount for likely buyers",
                share(most=None),
                "Who buys unaided with at least this probability gets no discount.",
                "%",
            ),
            _field("margin_percent", "Margin", percent(), "What is left of a price when the goods are paid.", "%"),
            _field("contact_cost", "Cost of a contact", money(), "What it costs to send one offer."),
            _field("coupon_prefix", "Coupon codes begin with", text(), "Such as BACK. Leave empty for codes alone."),
        ),
        more=True,
    ),
    Section(
        title="Codes and budgets",
        lead="Where codes come from, and how much may be given away.",
        fields=(
            _field("offer_amounts", "Fixed amount", money(), "Taken off instead of a percentage, such as 5 EUR."),
            _field("gift", "Gift", text(), "A product that is given with the order, by its id in the catalogue."),
            _field("free_shipping", "Free shipping", switch(), "Given instead of a discount. Orders note it."),
            _field("offer_cost", "Cost of a gift or shipping", money(), "What one costs you, for budgets."),
            _field("code_list", "Code list", text(), "An imported list. Empty for a code of its own for each offer."),
            _field("budget", "Budget", money(), "All offers together give away no more than this. Empty for no bound."),
            _field("budget_day", "Budget of a day", money(), "Offers above it wait for the next day (UTC)."),
            _field("budget_customer", "Budget of a shopper", money(), "Above it a shopper gets a reminder only."),
            _field(
                "discount_habit",
                "Discounts to one shopper",
                whole("discounts"),
                "Who was offered as many within the time below gets a reminder only. 0 for no bound.",
                "discounts",
            ),
            _field("discount_habit_window", "Discounts counted within", duration(), "The time for which they count."),
        ),
        more=True,
    ),
    Section(
        title="How often and when",
        lead="Limits for one shopper, over all their devices and addresses.",
        fields=(
            _field(
                "cap", "Offers to one shopper", whole("offers"), "No more than this within the time below.", "offers"
            ),
            _field("cap_window", "Within", duration(), "The time in which those offers are counted."),
            _field(
                "contact_interval", "Time between offers", duration(), "An offer waits until it is over. 0 for none."
            ),
            _field("quiet", "Quiet hours", quiet(), "Nothing is sent then, by the shopper's clock. Empty for none."),
            _field(
                "time_zone",
                "Time zone",
                text("zone"),
                "For shoppers whose own is unknown, such as Europe/Berlin. Empty for the region's.",
            ),
            _field(
                "reentry",
                "Enter again after",
                reentry(),
                "Who got an offer of this journey is left alone for so long. 0: each occasion begins anew.",
            ),
            _field("expires", "Offer expires after", duration(), "An offer that could not be sent by then is dropped."),
            _field(
                "score_limit", "Wait for the score", duration(), "Decide without the model's score after this time."
            ),
        ),
        more=True,
    ),
    Section(
        title="Consent",
        lead="What shoppers must have allowed.",
        fields=(
            _field(
                "double_opt_in",
                "Confirmed addresses only",
                switch(),
                "Mails go to addresses that the shop or their owner confirmed.",
            ),
            _field(
                "count_opens",
                "Count opens of mails",
                switch(),
                "By a picture in the mail. Many programs load it unasked, so judge by orders. Some laws want consent.",
            ),
            _field(
                "assume_consent",
                "Mail shoppers who were never asked",
                switch(),
                "Only where the law allows it. A refusal always counts.",
            ),
        ),
        more=True,
    ),
    Section(
        title="Experiment",
        lead="Chance decides for some shoppers, so that you learn what offers change.",
        fields=(
            _field(
                "holdout", "Held out", share(), "This share of shoppers never gets an offer, to be compared with.", "%"
            ),
            _field(
                "explore", "Offer drawn at random", share(), "For this share of shoppers chance picks the offer.", "%"
            ),
        ),
        more=True,
    ),
    Section(
        title="Regions",
        lead="Where it is on, and what happens while another region cannot be reached.",
        fields=(
            _field("regions", "On in", regions(), "Off in all others, as above. None ticked: on in every region."),
            _field(
                "stale_after",
                "A region counts as silent after",
                duration(),
                "Shoppers known there are held from then on.",
            ),
            _field("stale_hold", "Hold at most", duration(), "After this, decide with what is known here."),
        ),
        more=True,
    ),
)

FIELDS = {field.name: field for section in SECTIONS for field in section.fields}
"""Every field by its name."""
