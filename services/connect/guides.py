"""Guides: how each source is connected, with an example that can be copied."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Guide:
    """A source by the name that its requests have, what to do, and an example; `$GATEWAY` is the gateway's address."""

    source: str
    title: str
    steps: tuple[str, ...]
    example: str
    language: str = "shell"


GUIDES = (
    Guide(
        source="cartmesh",
        title="Cartmesh's own interface",
        steps=("One tag in every page, or events over HTTP from any program.", "Each field stands in $GATEWAY/docs."),
        example="""curl $GATEWAY/v1/events -H 'Authorization: Bearer <write key>' -d '{"events": [{
  "id": "evt-1", "type": "product_viewed", "time": "'$(date -u +%FT%TZ)'",
  "visitor_id": "visitor-1", "product_id": "sku-1"}]}'""",
    ),
    Guide(
        source="segment",
        title="Segment's libraries",
        steps=(
            "Give the library this host, and a key as its write key: a page's key in pages, a server key on servers.",
            "It takes identify, views, searches, carts, checkouts and orders, by Segment's own names of them.",
        ),
        example="""import segment.analytics as analytics  # pip install segment-analytics-python
analytics.host, analytics.write_key = "$GATEWAY", "<server key>"
analytics.track(anonymous_id="visitor-1", event="Product Added", properties={
    "cart_id": "cart-1", "product_id": "sku-1", "price": 12.99, "currency": "EUR", "quantity": 1})
analytics.flush()""",
        language="python",
    ),
    Guide(
        source="shopify",
        title="Shopify",
        steps=(
            "Set CARTMESH_SHOPIFY_SECRETS=<name>=<client secret> and CARTMESH_SHOPIFY_CURRENCY=EUR for the gateway.",
            "Subscribe to carts/*, checkouts/*, orders/*, refunds/create, products/*, customers/*, in JSON.",
        ),
        example="""shopify app webhook trigger --topic orders/create --api-version 2026-07 \\
  --address $GATEWAY/v1/shopify --client-secret "$SECRET\"""",
    ),
    Guide(
        source="woocommerce",
        title="WooCommerce",
        steps=(
            "Set CARTMESH_WOOCOMMERCE_SECRETS=<name>=<secret>, CARTMESH_WOOCOMMERCE_CURRENCY=EUR for the gateway.",
            "Settings, Advanced, Webhooks: order, product and customer, created and updated; the same secret.",
        ),
        example="""wp wc webhook create --user=1 --name=cartmesh --topic=order.updated \\
  --delivery_url=$GATEWAY/v1/woocommerce --secret="$SECRET\"""",
    ),
    Guide(
        source="stripe",
        title="Stripe",
        steps=(
            "Set CARTMESH_STRIPE_SECRETS=<name>=<the endpoint's signing secret> for the gateway.",
            "Put order_id, cart_id, visitor_id and cartmesh_lines into the metadata of checkout sessions.",
        ),
        example="""stripe listen --forward-to $GATEWAY/v1/stripe --events checkout.session.completed""",
    ),
    Guide(
        source="aftership",
        title="AfterShip",
        steps=(
            "Set CARTMESH_AFTERSHIP_SECRETS=<name>=<webhook secret> for the gateway.",
            "Settings, Webhooks: this address, and the shipment's status. Register each parcel with its order_id.",
        ),
        example="""curl https://api.aftership.com/tracking/2026-07/trackings -H "as-api-key: $KEY" \\
  -H 'Content-Type: application/json' -d '{"tracking_number": "JD01", "slug": "dhl", "order_id": "order-1"}'""",
    ),
    Guide(
        source="cloudevents",
        title="CloudEvents",
        steps=("Binary, structured or in batches, with a key. The type is Cartmesh's, such as cart_updated.",),
        example="""curl $GATEWAY/v1/cloudevents -H 'Authorization: Bearer <write key>' -H 'ce-specversion: 1.0' \\
  -H 'ce-id: 1' -H 'ce-source: /shop' -H 'ce-type: product_viewed' -H 'Content-Type: application/json' \\
  -d '{"visitor_id": "visitor-1", "product_id": "sku-1"}'""",
    ),
    Guide(
        source="rabbitmq",
        title="RabbitMQ",
        steps=(
            "Set CARTMESH_SOURCES=<name>=<mapping>:<address> for the gateway, several separated by spaces.",
            "The mapping is cloudevents, segment, shopify, woocommerce or stripe.",
            "What can never be taken is rejected: give the queue a dead-letter exchange to keep it.",
        ),
        example="CARTMESH_SOURCES=erp=cloudevents:amqps://<user>:<password>@rabbit.example/shop?queue=orders",
    ),
    Guide(
        source="kafka",
        title="Kafka",
        steps=(
            "The same setting with a topic. Offsets are committed once what is before them is stored.",
            "With user and password ?sasl=PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; the consumer group is ?group=.",
        ),
        example="CARTMESH_SOURCES=web=segment:kafka+ssl://<user>:<password>@one:9093,two:9093/clicks?group=cartmesh",
    ),
    Guide(
        source="sqs",
        title="Amazon SQS",
        steps=(
            "The same setting with a queue, which may get its messages from a topic of SNS.",
            "Without a key in the address the process's role counts. Parts of a key are percent-encoded.",
        ),
        example="CARTMESH_SOURCES=wms=cloudevents:sqs://<id>:<secret>@sqs.eu-west-1.amazonaws.com/<account>/<queue>",
    ),
    Guide(
        source="history",
        title="What happened before",
        steps=("CSV or Parquet with a mapping file. Nothing begins by it: no timer, no offer, no mail.",),
        example="""CARTMESH_IMPORT_KEY=<server key> cartmesh import past.csv --mapping past.toml --gateway $GATEWAY""",
    ),
)
"""In the order in which they are shown."""
