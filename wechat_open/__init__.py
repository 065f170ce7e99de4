"""The map of the package: where everything lives, and who may import whom.

::

    apps
    urls    management   testing   middleware   contrib
    doctor                                    examines a site on demand
    views   admin   templatetags   tasks   checks            entry points: parse, delegate, answer
    ----------------------------------------
    operations                                operators' actions on rows, one by one or thousands in a job
    inbox   messaging   health                what a push or a message does; what is wrong
    authorization                             the life of a grant
    api                                       API calls with the right token and one retry
    tokens                                    custody of tokens; no other part touches them
    platforms                                 settings become objects, each with its environment
    environment                               the ports of a platform's work, as this site has them
    stores                                    the statements that custody relies on
    ports                                     what that work takes from outside, as interfaces
    audit                                     the audit trail and hourly counters
    rounds                                    a round of a background job: item after item, until its deadline
    ----------------------------------------
    models   signals                          rows; signals for other apps
    broker   schedule                         sending tasks at once, and periodically
    admin_urls                                URLs of the admin's pages, on the reader's admin site
    db   cache   error_pages                  storage of rows; the site's cache; our settings on error pages
    conf   translation   formats              the settings; errors, spans and numbers in the reader's language
    ----------------------------------------
    client   simulator                        one HTTP call to WeChat; a WeChat in one process
    protocol                                  WeChat's wire format
    secret   exceptions   published           hidden values; errors; credentials in our documentation
    text                                      texts that are translated when they are read

Arrows point down only; names on one line do not import each other. Below the last rule there is no Django and no
Celery. Only ``doctor``, ``management`` and ``testing`` import the simulator. ``tox -e imports`` checks it.
"""

__version__ = "0.1.0"
