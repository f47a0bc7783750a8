"""The inventories of all components."""

from gateway.migration.poll_inventory import PollInventory


def test_a_component_that_nobody_knows_takes_no_memory_and_has_no_report():
    poll_inventory = PollInventory(lambda component: component == "orders", lambda component: 0)
    poll_inventory.polled("made-up", "curl 8.5", 0.0)
    assert poll_inventory.report("made-up", 0.0) is None
    report = poll_inventory.report("orders", 0.0)
    assert report is not None
    assert report.pollers == ()


def test_requests_to_the_upstream_are_counted_once_however_often_is_asked():
    asked = {"orders": 3}
    poll_inventory = PollInventory(lambda component: True, lambda component: asked[component])
    for _ in range(10):
        poll_inventory.polled("orders", "curl 8.5", 0.0)
    for total, saved in ((3, 7), (3, 7), (5, 5)):
        asked["orders"] = total
        report = poll_inventory.report("orders", 1.0)
        assert report is not None
        assert (report.upstream_requests, report.saved_by_snapshot) == (total, saved)


def test_keys_are_counted_of_components_that_are_known():
    poll_inventory = PollInventory(lambda component: component == "orders", lambda component: 0)
    poll_inventory.came("orders", 1.0, keyed=True)
    poll_inventory.came("orders", 1.0, keyed=False)
    poll_inventory.came("made-up", 1.0, keyed=False)
    assert poll_inventory.keys("orders", 2.0) == (1, 1)
    assert poll_inventory.keys("made-up", 2.0) == (0, 0)
