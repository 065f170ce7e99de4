"""Where does everything live, and who may import whom?

::

    apps
    urls    management   testing   middleware   contrib
    views   admin   tasks   checks            Django's doors: parse, delegate, answer
    ----------------------------------------
    bulk   alerts   needs                     one action on thousands of rows; who is told what is wrong; what is to do
    inbox   messaging   health                what a push or a message does; what is wrong
    authorization                             the life of one grant
    api   codes                               calls with the right token, one bounded retry; whose code it is
    tokens   census                           custody; how many accounts of each sort
    component   journal                       settings become objects; what happened, and who did it
    ----------------------------------------
    endpoints   models   signals              WeChat's endpoints; rows; what other apps may listen to
    admin_urls                                addresses of the admin's pages, on the site that the reader is on
    doorbell   schedule                       how workers are woken: at once, and by the clock
    fields                                    columns that hold sealed text
    sealing   shared_cache   host_cache       how it is sealed; how the cache is asked that may be down; one for a host
    error_pages                               what Django's error pages show of our settings
    conf    clock   qr      telling           the settings; the database's time; a text as a QR code; an error in words
    rows                                      managers that read where is written
    times                                     columns for points in time, in UTC whatever USE_TZ is
    ----------------------------------------
    client   simulator                        one HTTP call; a WeChat that fits in one process
    protocol                                  the wire format
    secret   exceptions   published           ...; credentials that everybody can read
    sentence                                  a text that can be said again in another language

Arrows point down only; names on one line do not import each other. Below the last rule, and in ``endpoints``, there is
no Django and no Celery. Nothing but ``testing`` and ``management`` imports the simulator. ``tox -e imports`` checks it.
"""

__version__ = "0.1.0"
