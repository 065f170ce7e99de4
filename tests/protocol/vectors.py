"""The published test vectors of WeChat's encryption, copied exactly.

V1, its reply, V2 and V4 are Tencent's own examples; V3 and E1 come from the tests of other libraries; S1 to S3 were
computed for this project from the same rules, for the cases that no published vector has.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from wechat_open.protocol.crypto import KeyPair


@dataclass(frozen=True)
class Vector:
    """``envelope`` is the whole body of the push, with ``%s`` where the ciphertext stands; empty where it had none."""

    name: str
    token: str
    encoding_aes_key: str
    receiver_id: str
    timestamp: str
    nonce: str
    msg_signature: str
    random16: bytes
    pad: int
    encrypted: str = field(repr=False)
    plain: bytes = field(repr=False)
    envelope: str = field(default="", repr=False)

    @property
    def pair(self) -> KeyPair:
        return KeyPair.from_console(self.token, self.encoding_aes_key)

    @property
    def query(self) -> str:
        return (
            f"signature=ignored&timestamp={self.timestamp}&nonce={self.nonce}"
            f"&encrypt_type=aes&msg_signature={self.msg_signature}"
        )

    @property
    def body(self) -> bytes:
        return (self.envelope % self.encrypted).encode()


V1 = Vector(
    name="V1",
    token="AAAAA",
    encoding_aes_key="AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    receiver_id="wx134c8103faa5a59e",
    timestamp="1715943329",
    nonce="1590219412",
    msg_signature="6c12a4205838198b8fa631b3220723bb07f1015c",
    random16=b"1205899eaf019bbd",
    pad=22,
    encrypted=(
        "D7yzvUNAL930rd28wf21s4hvXhz0L6Uit/p2Di6C5DHyYGpEgdBRnKjBec34JwoQXicwaZC7fOVihW80F4VtsdvE//1vr7oA"
        "bqjDv8KenVp+ajKYpJnyQ4zMRhIC+a31fCVOMC03FfzV/QuC94kBP55a+Za3sJgvAn+ZbsNqZI5DkyuzkhQN8OBqCzFhizGm"
        "y0xpM0MEA4agpvE+RuNO1rhHTtuJB5yltw1FiYzecSXJ+y/D2r81VkRn2eYjh2ltsoyfbDR7Is6ookXIFxTfyeNyeHxMeT4K"
        "N5WpCDmSbTcUYrbBUlkGLJ9n/rU8YOywma6G7aTb7KZKOqCxgfoUlYEZPk4FUL/TK7ShriFDMVCLyjQJ15Ob++agDWtcxhfU"
        "fe6HIoIpRW8mKNBQiY/Jd1svvuskA1wLef1RTtzKfMpagSCX/laZINmdnX4zrF6kIaR9P4xQrWXbsTFHTYe0Mg=="
    ),
    plain=(
        b"<xml><ToUserName><![CDATA[gh_97417a04a28d]]></ToUserName>\n"
        b"<FromUserName><![CDATA[o9AgO5Kd5ggOC-bXrbNODIiE3bGY]]></FromUserName>\n"
        b"<CreateTime>1715943329</CreateTime>\n"
        b"<MsgType><![CDATA[event]]></MsgType>\n"
        b"<Event><![CDATA[debug_demo]]></Event>\n"
        b"<debug_str><![CDATA[hello world]]></debug_str>\n"
        b"</xml>"
    ),
    envelope="<xml><ToUserName><![CDATA[gh_97417a04a28d]]></ToUserName><Encrypt><![CDATA[%s]]></Encrypt></xml>",
)
V2 = Vector(
    name="V2",
    token="spamtest",
    encoding_aes_key="abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
    receiver_id="wx2c2769f8efd9abc2",
    timestamp="1409735669",
    nonce="1320562132",
    msg_signature="5d197aaffba7e9b25a30732f161a50dee96bd5fa",
    random16=b"89465c840c5f116f",
    pad=2,
    encrypted=(
        "hyzAe4OzmOMbd6TvGdIOO6uBmdJoD0Fk53REIHvxYtJlE2B655HuD0m8KUePWB3+LrPXo87wzQ1QLvbeUgmBM4x6F8PGHQHF"
        "VAFmOD2LdJF9FrXpbUAh0B5GIItb52sn896wVsMSHGuPE328HnRGBcrS7C41IzDWyWNlZkyyXwon8T332jisa+h6tEDYsVti"
        "cbSnyU8dKOIbgU6ux5VTjg3yt+WGzjlpKn6NPhRjpA912xMezR4kw6KWwMrCVKSVCZciVGCgavjIQ6X8tCOp3yZbGpy0VxpA"
        "e+77TszTfRd5RJSVO/HTnifJpXgCSUdUue1v6h0EIBYYI1BD1DlD+C0CR8e6OewpusjZ4uBl9FyJvnhvQl+q5rv1ixrcpCum"
        "EPo5MJSgM9ehVsNPfUM669WuMyVWQLCzpu9GhglF2PE="
    ),
    plain=(
        b"<xml><ToUserName><![CDATA[gh_10f6c3c3ac5a]]></ToUserName>\n"
        b"<FromUserName><![CDATA[oyORnuP8q7ou2gfYjqLzSIWZf0rs]]></FromUserName>\n"
        b"<CreateTime>1409735668</CreateTime>\n"
        b"<MsgType><![CDATA[text]]></MsgType>\n"
        b"<Content><![CDATA[abcdteT]]></Content>\n"
        b"<MsgId>6054768590064713728</MsgId>\n"
        b"</xml>"
    ),
    envelope=(
        "<xml><ToUserName><![CDATA[gh_10f6c3c3ac5a]]></ToUserName>\n"
        "<FromUserName><![CDATA[oyORnuP8q7ou2gfYjqLzSIWZf0rs]]></FromUserName>\n"
        "<CreateTime>1409735668</CreateTime>\n"
        "<MsgType><![CDATA[text]]></MsgType>\n"
        "<Content><![CDATA[abcdteT]]></Content>\n"
        "<MsgId>6054768590064713728</MsgId>\n"
        "<Encrypt><![CDATA[%s]]></Encrypt>\n"
        "</xml>"
    ),
)
V3 = Vector(
    name="V3",
    token="pamtest",
    encoding_aes_key="abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
    receiver_id="wxb11529c136998cb6",
    timestamp="1458300676",
    nonce="260774613",
    msg_signature="4f3ad57b6989f09f4eb392acce4f9e93942ed890",
    random16=b"d43123b161a4ba84",
    pad=21,
    encrypted=(
        "rTNFcsut4LfGuAFKEUVVpwcaCOTJzOd9twZdIW910jb3k+iicx2uvhttIZ3Qg9Qgty3BEF2xbOrz6boTfb30dMomcgrkTqdF"
        "Pwnhqbk+kIQ7rZiwny9D7NUrTgA5kpX3KsZvrXzUZyP2x9YOlxbgm572lmxKvM7HAQQhIQ/p6HBmoY30bGXFK0BtIu1pW9Tj"
        "hOYrLQoU18nWYjWqDA1ynkmOytpv7QRI1P1+0NoxL0q2zO1DgeSvnE8CZGo/o5Ap/WHK5W2RAsinpzN4/LjPnmB6U01I5XCo"
        "JoC0GK/yMZycd2Oh8Nq6+wBkC1U85oy0ktOY4nLvsQMLrourmMGdZHuTbqpeJ8Ao/5PRYJ+WBvRUwPfGKBL2+2IKZF49vAJq"
        "kcGWSHGE76ZN2erXeuNazf/o9o3lIE3q739o4c8t9QGPe31GT2Go/rOz1BsrASwvauNulCh+++yz+CQzBIuikA=="
    ),
    plain=(
        b"<xml><URL><![CDATA[http://wechat.laravel.so/server]]></URL><ToUserName><![CDATA[asdasdasd]]>"
        b"</ToUserName><FromUserName><![CDATA[asdasdasdsadasd]]></FromUserName><CreateTime>1234567898"
        b"</CreateTime><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[hello]]></Content>"
        b"<MsgId>12345</MsgId></xml>"
    ),
    envelope="<xml><ToUserName><![CDATA[asdasdasd]]></ToUserName><Encrypt><![CDATA[%s]]></Encrypt></xml>",
)
V4 = Vector(
    name="V4",
    token="QDG6eK",
    encoding_aes_key="jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C",
    receiver_id="wx5823bf96d3bd56c7",
    timestamp="1409659589",
    nonce="263014780",
    msg_signature="5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd3",
    random16=b"c41b64491c2468d0",
    pad=7,
    encrypted=("P9nAzCzyDtyTWESHep1vC5X9xho/qYX3Zpb4yKa9SKld1DsH3Iyt3tP3zNdtp+4RPcs8TgAE7OaBO+FZXvnaqQ=="),
    plain=(b"1616140317555161061"),
)
S1 = Vector(
    name="S1",
    token="pamtest",
    encoding_aes_key="abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
    receiver_id="wx134c8103faa5a59e",
    timestamp="1413192606",
    nonce="20240101",
    msg_signature="52bea3105a3f744808d30070587cd73cbde5681e",
    random16=b"0123456789abcdef",
    pad=18,
    encrypted=(
        "Q3stYC6hdFzMh9T8HCvyDKb6hlk6EhYdsSIhyH5jhcG54wu9IUXkdz6f0eXmbaLVZmYQVzt/VWF8tHHLBRXbJxUnxX5sshTY"
        "AmSZARtJPu2D6GAm3r4CSuo8YCIkIFBrH2eSkQJyeu62d5YjXc6j6LJrbzp7CSmMawkpbmCSMUrqEYzLZzZY6hcaKY1z9Qxg"
        "X89oGxVzBtRiE0QUako87/E5qJY3BO1rgFXeg3fZE9MUgzmDVg9twt+rS8yaD3vDvb0wuh/u4hI0UhC5IcLZd6q9aqBR2Kaa"
        "ygH744tdn5IDTH7K+D6MB2XwDgZ/rKT6p3MKYas43deF4malhBPyFkxTX2X5J8WJ/md8Gt8M/naMLYEQ7P2nmY66/kziJ0g8"
    ),
    plain=(
        b"<xml><AppId><![CDATA[wx134c8103faa5a59e]]></AppId>\n"
        b"<CreateTime>1413192605</CreateTime>\n"
        b"<InfoType><![CDATA[component_verify_ticket]]></InfoType>\n"
        b"<ComponentVerifyTicket><![CDATA[ticket@@@demo-ticket-1]]></ComponentVerifyTicket>\n"
        b"</xml>"
    ),
    envelope="<xml><AppId><![CDATA[wx134c8103faa5a59e]]></AppId><Encrypt><![CDATA[%s]]></Encrypt></xml>",
)
S2 = Vector(
    name="S2",
    token="pamtest",
    encoding_aes_key="abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
    receiver_id="wx134c8103faa5a59e",
    timestamp="1413192761",
    nonce="20240102",
    msg_signature="3f563d8f24f75beaf6cea9c1148df34e284cc57b",
    random16=b"fedcba9876543210",
    pad=13,
    encrypted=(
        "DpQeJfnf/MGZ/+GTIspwVIE8ydonnRAGLt6kIYRBMz6UNwWRbN3BkE/n3jSDtMFeVIKXjCUbMy/t5UMNHt97YoQlsAEgi6PB"
        "edEz04WvI5dUuwwnlQwZ/1+kwVlJtKlJp4Ro14IQQZaIhAUT3XKiiJgmnVIBQ7kbdk0O1IQOSOkHdKMx+1EFKKMx7RR3Z03X"
        "tLQX68qTJ7tnYeUQ9FIKjH/0rhAO2b9c5NolYYbDVw9goAWvqoEb81Kem3Li0ie/S6tX9wF/0X/Fk+Uz31FdbpG0mRKbShXP"
        "2nFrB2eKhtWTck+iVFdreohS7AlHs6WHreVSsq2UDuNtuClSFh0rdA=="
    ),
    plain=(
        b"<xml><AppId><![CDATA[wx134c8103faa5a59e]]></AppId>\n"
        b"<CreateTime>1413192760</CreateTime>\n"
        b"<InfoType><![CDATA[unauthorized]]></InfoType>\n"
        b"<AuthorizerAppid><![CDATA[wxf8b4f85f3a794e77]]></AuthorizerAppid>\n"
        b"</xml>"
    ),
    envelope="<xml><AppId><![CDATA[wx134c8103faa5a59e]]></AppId><Encrypt><![CDATA[%s]]></Encrypt></xml>",
)
S3 = Vector(
    name="S3",
    token="pamtest",
    encoding_aes_key="abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
    receiver_id="wx134c8103faa5a59e",
    timestamp="1413192762",
    nonce="20240103",
    msg_signature="8f8c31f1e351450256b665b3086cafbb1b2c2199",
    random16=b"0123456789abcdef",
    pad=32,
    encrypted=(
        "Q3stYC6hdFzMh9T8HCvyDHDxbrF7f8TfmYxXSN1y2Vbjja9RgRLcXPjzJF67v90VQ43rCY3DCXZqA5pQ5hljksnQ2HvMB2Rd"
        "k4XhpDsF4wk9vWAHevHFL+wsnCVRzmC3"
    ),
    plain=(b"xxxxxxxxxxxxxxxxxxxxxxxxxx"),
)

# What V1 carries beside: the account's appid in the path, and in the query:
V1_SIGNATURE = "cc0c594499c1634947d5b502f158ee518947db27"

# Tencent's answer to V1. The odd markup is the page's own.
V1_REPLY = Vector(
    name="V1-reply",
    token="AAAAA",
    encoding_aes_key="AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    receiver_id="wx134c8103faa5a59e",
    timestamp="1713424427",
    nonce="415670741",
    msg_signature="03e0812039325c2712ef5f0f980fd14c70d6e307",
    random16=b"999951349e8ee746",
    pad=6,
    encrypted=(
        "hE8R6mGXHkJJjU72KxzKUd1GEkKJaEZq7vRL8XgK3o+00k8JGq6+pZJUIlTSyhsX+bxIBQ72g3GyvDdIZcr6+3HAZbSvPT9t"
        "/o11MI7d6WELwqrGd7jMnV0zv3Zc9Nq7"
    ),
    plain=b"<xml><demo_resp>[CDATA[good luck]]</demo_resp></xml>",
)

# Encryption of text that is not ASCII: the length counts bytes.
E1_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
E1_RECEIVER_ID = "wxb11529c136998cb6"
E1_RANDOM16 = b"aaaabbbbccccdddd"
E1_PLAIN = "我是中文abcd123"
E1_ENCRYPTED = "jn1L23DB+6ELqJ+6bruv21Y6MD7KeIfP82D6gU39rmkgczbWwt5+3bnyg5K55bgVtVzd832WzZGMhkP72vVOfg=="

# The verification of a URL by a plain GET.
G1_TOKEN = "AAAAA"
G1_TIMESTAMP = "1714036504"
G1_NONCE = "1514711492"
G1_SIGNATURE = "f464b24fc39322e44b38aa78f5edd27bd1441696"

ALL = (V1, V2, V3, V4, S1, S2, S3, V1_REPLY)
PUSHES = (V1, V2, V3, S1, S2)
