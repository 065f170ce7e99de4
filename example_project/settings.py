"""The settings of the site.

By environment variables, each with a default that needs no service: SQLite, a cache in memory, the simulator for
WeChat. Set them, and the same project is a deployment one could start from.

======================  ====================================================================  =========================
Variable                What                                                                  Unset
======================  ====================================================================  =========================
SECRET_KEY              Django's; also encrypts the tokens at rest                            needs DEBUG=1
DEBUG                   1 on a developer's machine                                            off
SITE_URL                scheme and host registered as 授权发起页域名                          the host of the request
ALLOWED_HOSTS           more hosts, separated by commas                                       loopback and SITE_URL's
BEHIND_PROXY            1 when a proxy sets X-Forwarded-Proto                                 off
DATABASE_URL            postgres://…, mysql://… or sqlite:////path                            a file beside this one
REDIS_URL               redis://…, the cache that all processes share                         a cache in each process
CELERY_BROKER_URL       amqp://… or redis://…                                                 memory of one process
WECHAT_APPID            the platform's appid, from its console                                the simulator's (DEBUG=1)
WECHAT_APPSECRET        its secret                                                            the simulator's
WECHAT_TOKEN            消息校验Token                                                         the simulator's
WECHAT_ENCODING_AES_KEY 消息加解密Key                                                         the simulator's
WECHAT_API_BASE_URL     where WeChat's API is                                                 WeChat, or the simulator
WECHAT_API_HOSTS        hosts beside WeChat's that the address may name without DEBUG         none
LANGUAGE_CODE           en or zh-hans, of followers and of visitors who do not say            en
HEALTH_TOKEN            bearer token for monitors of /wechat/health/                          staff only
LOG_FILE                where to log                                                          stderr
======================  ====================================================================  =========================
"""

from pathlib import Path
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from wechat_open.published import is_published
from wechat_open.schedule import BEAT_SCHEDULE

from .environment import database, flag, sqlite, text, words

BASE_DIR = Path(__file__).resolve().parent

DEBUG = flag("DEBUG")
DEMO = flag("EXAMPLE_DEMO")  # signing in with one click; only example_project.demo sets it, on the loopback

SECRET_KEY = text("SECRET_KEY") or ("insecure-and-known-to-everybody-who-reads-this-file" if DEBUG else "")
if not SECRET_KEY:
    raise ImproperlyConfigured(
        "Set SECRET_KEY (python -c 'import secrets; print(secrets.token_urlsafe(50))' makes one; keep it: it also "
        "encrypts the stored tokens), or DEBUG=1 to try the site on this machine."
    )

SITE_URL = text("SITE_URL").rstrip("/")
ALLOWED_HOSTS = ["localhost", "127.0.0.1", *words("ALLOWED_HOSTS")]
if SITE_URL:
    ALLOWED_HOSTS.append(urlsplit(SITE_URL).hostname or "")
    CSRF_TRUSTED_ORIGINS = [SITE_URL]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SITE_URL.startswith("https://")
if flag("BEHIND_PROXY"):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

INSTALLED_APPS = [
    "example_project.shop",  # before the admin: its templates for signing in and out come first
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "wechat_open",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "example_project.shop.middleware.content_security_policy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

ROOT_URLCONF = "example_project.urls"
WSGI_APPLICATION = "example_project.wsgi.application"
LOGIN_URL, LOGIN_REDIRECT_URL, LOGOUT_REDIRECT_URL = "login", "home", "home"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

LANGUAGE_CODE = text("LANGUAGE_CODE", "en")
LANGUAGES = [("zh-hans", _("Simplified Chinese")), ("en", _("English"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = "Asia/Shanghai"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "collected"  # manage.py collectstatic; the web server serves it

# Database and cache

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": database(url) if (url := text("DATABASE_URL")) else sqlite(str(BASE_DIR / "db.sqlite3"))}

CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": url,
        "OPTIONS": {"SOCKET_CONNECT_TIMEOUT": 1, "SOCKET_TIMEOUT": 1},
    }
    if (url := text("REDIS_URL"))
    else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
}

# Celery

CELERY_BROKER_URL = text("CELERY_BROKER_URL", "memory://localhost/")
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # no outage of the broker, however long or short, ends a worker
CELERY_BROKER_CHANNEL_ERROR_RETRY = True
if CELERY_BROKER_URL.startswith("memory:"):
    CELERY_BROKER_TRANSPORT_OPTIONS = {"polling_interval": 0.1}
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BEAT_SCHEDULE = {**BEAT_SCHEDULE}  # and the site's own tasks
CELERY_BEAT_SCHEDULER = "celery.beat:Scheduler"  # the database has what is due: no schedule file is needed

# WeChat

if appid := text("WECHAT_APPID"):
    credentials = {
        "APPID": appid,
        "APPSECRET": text("WECHAT_APPSECRET"),
        "TOKEN": text("WECHAT_TOKEN"),
        "ENCODING_AES_KEY": text("WECHAT_ENCODING_AES_KEY"),
    }
    api_base_url = text("WECHAT_API_BASE_URL")
elif not DEBUG:
    raise ImproperlyConfigured(
        "Set WECHAT_APPID, WECHAT_APPSECRET, WECHAT_TOKEN and WECHAT_ENCODING_AES_KEY, from the platform's console, or "
        "DEBUG=1 to try the site with the simulator, whose credentials everybody can read."
    )
else:  # those of the simulator, which listens on this port by default
    from wechat_open.simulator import Settings as Simulated

    demo = Simulated()
    credentials = {
        "APPID": demo.appid,
        "APPSECRET": demo.appsecret,
        "TOKEN": demo.token,
        "ENCODING_AES_KEY": demo.encoding_aes_key,
    }
    api_base_url = text("WECHAT_API_BASE_URL", "http://127.0.0.1:8001")

if not DEBUG and any(map(is_published, [SECRET_KEY, *credentials.values()])):
    raise ImproperlyConfigured(
        "SECRET_KEY, WECHAT_APPSECRET, WECHAT_TOKEN or WECHAT_ENCODING_AES_KEY is one that everybody can read in this "
        "project's files. Set your own, or DEBUG=1 to try the site on this machine."
    )

WECHAT_OPEN = {
    "COMPONENTS": {"default": credentials},
    "SITE_URL": SITE_URL,
    "HEALTH_TOKEN": text("HEALTH_TOKEN"),
    "AFTER_AUTHORIZE": "home",
    "BRAND": {"NAME": "橱窗 Shopfront", "LOGO": "shop/shopfront.svg"},
    "API_HOSTS": words("WECHAT_API_HOSTS"),
}
if api_base_url and not (urlsplit(api_base_url).hostname or "").endswith(".weixin.qq.com"):
    # A simulator answers for all three of WeChat's hosts.
    WECHAT_OPEN |= dict.fromkeys(("API_BASE_URL", "AUTHORIZE_BASE_URL", "OPEN_BASE_URL"), api_base_url)
elif api_base_url:
    WECHAT_OPEN["API_BASE_URL"] = api_base_url

# Logging

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname:<7} {name}: {message}", "style": "{"}},
    "handlers": {
        "out": {"class": "logging.FileHandler", "filename": path, "formatter": "line", "encoding": "utf-8"}
        if (path := text("LOG_FILE"))
        else {"class": "logging.StreamHandler", "formatter": "line"}
    },
    "root": {"handlers": ["out"], "level": "INFO"},
    "loggers": {
        "django": {"handlers": [], "propagate": True},
        # The development server prints whole URLs, and those of a redirect from WeChat have codes.
        "django.server": {"handlers": [], "propagate": True, "level": "ERROR"},
        "celery.app.trace": {"level": "WARNING"},  # a line for each task of beat would hide the rest
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
    },
}
