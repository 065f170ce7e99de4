"""The story's browser, where it has to behave as a real one."""

from __future__ import annotations

import requests
from django.test import SimpleTestCase

from example_project.browser import NotOnPage, Page, referer

HTML = """
<a href="/wechat/page?x=1&amp;y=2">Go <b>there</b></a>
<form method="post" action="/first/"><input type="hidden" name="appid" value="wx1"><button>Send</button></form>
<form method="post" action="/second/">
  <input type="radio" name="appid" value="wx2" checked><input type="radio" name="appid" value="wx3">
  <input type="checkbox" name="set" value="1" checked><input type="checkbox" name="set" value="2">
  <button name="action" value="confirm">Send</button>
</form>
"""


def a_page(policy: str = "", html: str = HTML) -> Page:
    response = requests.Response()
    response.url = "http://site.example/path?code=secret"
    response.status_code = 200
    response._content = html.encode()
    if policy:
        response.headers["Referrer-Policy"] = policy
    return Page(response)


class RefererTests(SimpleTestCase):
    def test_djangos_default_policy_gives_other_sites_nothing(self) -> None:
        assert referer(a_page("same-origin"), "http://wechat.example/") is None
        assert referer(a_page("same-origin"), "http://site.example/next") == a_page().url

    def test_the_connect_pages_policy_gives_other_sites_the_origin_and_no_more(self) -> None:
        for policy in ("strict-origin-when-cross-origin", "origin", ""):
            assert referer(a_page(policy), "http://wechat.example/") == "http://site.example/"

    def test_no_referrer_sends_no_referer(self) -> None:
        assert referer(a_page("no-referrer"), "http://site.example/next") is None


class PageTests(SimpleTestCase):
    def test_a_link_is_found_by_a_part_of_its_address(self) -> None:
        assert a_page().link_to("/wechat/") == "/wechat/page?x=1&y=2"

    def test_a_form_is_found_by_its_button_and_what_it_is_about(self) -> None:
        assert a_page().form_with("Send")[0].action == "/first/"
        assert a_page().form_with("Send", about="wx2")[0].action == "/second/"
        assert a_page().form_with("confirm")[1] == ("action", "confirm")

    def test_a_form_sends_what_is_chosen(self) -> None:
        form, _ = a_page().form_with("confirm")

        assert form.fields == [("appid", "wx2"), ("set", "1")]

    def test_what_is_not_there_cannot_be_clicked_and_the_message_hides_the_query(self) -> None:
        with self.assertRaisesMessage(NotOnPage, "The page http://site.example/path (HTTP 200") as caught:
            a_page().link_to("/elsewhere/")
        assert "secret" not in str(caught.exception)
        with self.assertRaisesMessage(NotOnPage, "has no button 'Buy' for wx1."):
            a_page().form_with("Buy", about="wx1")
