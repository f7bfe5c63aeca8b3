
/*
 * Copyright (C) the nginx gray module authors
 */


/*
 * What the User-Agent says about a device: data, which
 * ngx_http_gray_device.c alone includes.  A row is
 *
 *     words, in lower case; where they have to stand; what then is so
 *
 * and of all rows whose words are found, whatever the case, the first of the
 * table counts.  Where they have to stand:
 *
 *     ANYWHERE    also inside of a word
 *     HEAD        where a word begins: behind what is no letter or digit
 *     TAIL        where a word ends
 *     WORD        both
 *     FIRST       at the beginning of the User-Agent, where a word begins
 *     ALONE       there, and nothing follows
 *
 * What then is so: BOT, TABLET, MOBILE, DESKTOP; or LARGE, which is Android
 * without the word that its phones say: a tablet, where nothing that is
 * better says another thing.
 */


static const ngx_http_gray_device_row_t  ngx_http_gray_device_rows[] = {

    /* what looks like a row further below, and is none */

    { "cubot",               HEAD,      MOBILE },
    { "tablet pc",           WORD,      DESKTOP },
    { "mediacenter pc",      ANYWHERE,  DESKTOP },

    /* programs that say what they are, or whose they are */

    { "bot",                 ANYWHERE,  BOT },
    { "crawl",               ANYWHERE,  BOT },
    { "spider",              ANYWHERE,  BOT },
    { "spyder",              ANYWHERE,  BOT },
    { "slurp",               ANYWHERE,  BOT },
    { "http:",               ANYWHERE,  BOT },
    { "https:",              ANYWHERE,  BOT },
    { "www.",                HEAD,      BOT },
    { ".com",                TAIL,      BOT },
    { ".org",                TAIL,      BOT },
    { ".io",                 TAIL,      BOT },
    { "agent",               TAIL,      BOT },

    /* what they are for */

    { "analy",               ANYWHERE,  BOT },
    { "archive",             ANYWHERE,  BOT },
    { "audit",               ANYWHERE,  BOT },
    { "benchmark",           ANYWHERE,  BOT },
    { "capture",             ANYWHERE,  BOT },
    { "check",               ANYWHERE,  BOT },
    { "collect",             ANYWHERE,  BOT },
    { "download",            ANYWHERE,  BOT },
    { "extract",             ANYWHERE,  BOT },
    { "favicon",             ANYWHERE,  BOT },
    { "feed",                ANYWHERE,  BOT },
    { "fetch",               ANYWHERE,  BOT },
    { "finder",              TAIL,      BOT },
    { "grabber",             ANYWHERE,  BOT },
    { "harvest",             ANYWHERE,  BOT },
    { "headless",            ANYWHERE,  BOT },
    { "indexer",             ANYWHERE,  BOT },
    { "inspect",             ANYWHERE,  BOT },
    { "larbin",              ANYWHERE,  BOT },
    { "monitor",             ANYWHERE,  BOT },
    { "newsgather",          ANYWHERE,  BOT },
    { "optimizer",           ANYWHERE,  BOT },
    { "parser",              ANYWHERE,  BOT },
    { "prefetch",            ANYWHERE,  BOT },
    { "prerender",           ANYWHERE,  BOT },
    { "preview",             ANYWHERE,  BOT },
    { "probe",               ANYWHERE,  BOT },
    { "proxy",               TAIL,      BOT },
    { "reader",              TAIL,      BOT },
    { "renderer",            ANYWHERE,  BOT },
    { "research",            ANYWHERE,  BOT },
    { "resolver",            ANYWHERE,  BOT },
    { "rss",                 HEAD,      BOT },
    { "scan",                ANYWHERE,  BOT },
    { "scrap",               ANYWHERE,  BOT },
    { "screenshot",          ANYWHERE,  BOT },
    { "snippet",             ANYWHERE,  BOT },
    { "survey",              ANYWHERE,  BOT },
    { "synthetic",           ANYWHERE,  BOT },
    { "thumbnail",           ANYWHERE,  BOT },
    { "tracker",             ANYWHERE,  BOT },
    { "transcoder",          ANYWHERE,  BOT },
    { "translat",            ANYWHERE,  BOT },
    { "uptime",              ANYWHERE,  BOT },
    { "valid",               ANYWHERE,  BOT },
    { "verif",               ANYWHERE,  BOT },
    { "warning",             ANYWHERE,  BOT },
    { "webhook",             ANYWHERE,  BOT },
    { "website",             ANYWHERE,  BOT },
    { "worm",                ANYWHERE,  BOT },

    /* libraries */

    { "aiohttp",             HEAD,      BOT },
    { "axios",               HEAD,      BOT },
    { "curl",                ANYWHERE,  BOT },
    { "go-http",             ANYWHERE,  BOT },
    { "guzzle",              ANYWHERE,  BOT },
    { "http_",               HEAD,      BOT },
    { "httpclient",          ANYWHERE,  BOT },
    { "http-client",         ANYWHERE,  BOT },
    { "httpie",              HEAD,      BOT },
    { "httpunit",            HEAD,      BOT },
    { "httrack",             ANYWHERE,  BOT },
    { "indy library",        ANYWHERE,  BOT },
    { "java/",               HEAD,      BOT },
    { "libwww",              ANYWHERE,  BOT },
    { "nutch",               ANYWHERE,  BOT },
    { "okhttp",              FIRST,     BOT },
    { "perl",                HEAD,      BOT },
    { "php",                 HEAD,      BOT },
    { "python",              HEAD,      BOT },
    { "ruby",                FIRST,     BOT },
    { "wget",                ANYWHERE,  BOT },
    { "winhttp",             ANYWHERE,  BOT },

    /* browsers that programs drive, and what measures pages with them */

    { "cypress",             HEAD,      BOT },
    { "dareboost",           HEAD,      BOT },
    { "ghost inspector",     ANYWHERE,  BOT },
    { "gtmetrix",            HEAD,      BOT },
    { "lighthouse",          ANYWHERE,  BOT },
    { "pagespeed",           ANYWHERE,  BOT },
    { "phantomjs",           ANYWHERE,  BOT },
    { "pingdom",             ANYWHERE,  BOT },
    { "playwright",          ANYWHERE,  BOT },
    { "ptst/",               HEAD,      BOT },
    { "puppeteer",           ANYWHERE,  BOT },
    { "selenium",            ANYWHERE,  BOT },
    { "speedcurve",          ANYWHERE,  BOT },

    /* by name */

    { "appinsights",         HEAD,      BOT },
    { "-google",             TAIL,      BOT },
    { "google-",             HEAD,      BOT },
    { "google web",          HEAD,      BOT },
    { "claude-user",         HEAD,      BOT },
    { "chatgpt-user",        HEAD,      BOT },
    { "perplexity-user",     HEAD,      BOT },
    { "mistralai-user",      HEAD,      BOT },
    { "manus-user",          HEAD,      BOT },
    { "anthropic",           HEAD,      BOT },
    { "facebookexternalhit", HEAD,      BOT },
    { "facebookcatalog",     HEAD,      BOT },
    { "meta-external",       HEAD,      BOT },
    { "hotjar",              HEAD,      BOT },
    { "ia_archiver",         HEAD,      BOT },
    { "netcraft",            ANYWHERE,  BOT },
    { "nikto",               ANYWHERE,  BOT },
    { "nmap",                ANYWHERE,  BOT },
    { "sqlmap",              ANYWHERE,  BOT },
    { "seo",                 HEAD,      BOT },
    { "skypeuripreview",     HEAD,      BOT },
    { "snap url",            ANYWHERE,  BOT },
    { "whatsapp/",           FIRST,     BOT },
    { "yahoo pipes",         ANYWHERE,  BOT },

    /* screens that nobody holds in the hand */

    { "android tv",          HEAD,      DESKTOP },
    { "googletv",            ANYWHERE,  DESKTOP },
    { "google tv",           ANYWHERE,  DESKTOP },
    { "chromecast",          HEAD,      DESKTOP },
    { "crkey",               HEAD,      DESKTOP },
    { "smart-tv",            ANYWHERE,  DESKTOP },
    { "smarttv",             ANYWHERE,  DESKTOP },
    { "smart tv",            ANYWHERE,  DESKTOP },
    { "hbbtv",               HEAD,      DESKTOP },
    { "appletv",             HEAD,      DESKTOP },
    { "apple tv",            HEAD,      DESKTOP },
    { "tvos",                HEAD,      DESKTOP },
    { "aft",                 HEAD,      DESKTOP },
    { "bravia",              HEAD,      DESKTOP },
    { "roku",                HEAD,      DESKTOP },
    { "viera",               HEAD,      DESKTOP },
    { "netcast",             HEAD,      DESKTOP },
    { "web0s",               HEAD,      DESKTOP },
    { "tizen tv",            ANYWHERE,  DESKTOP },
    { "playstation vita",    ANYWHERE,  MOBILE },
    { "playstation portable", ANYWHERE, MOBILE },
    { "playstation",         HEAD,      DESKTOP },
    { "xbox",                HEAD,      DESKTOP },
    { "nintendo 3ds",        ANYWHERE,  MOBILE },
    { "nintendo switch",     ANYWHERE,  TABLET },
    { "nintendo",            HEAD,      DESKTOP },

    /* tablets */

    { "ipad",                HEAD,      TABLET },
    { "tablet",              ANYWHERE,  TABLET },
    { "playbook",            HEAD,      TABLET },
    { "touchpad",            ANYWHERE,  TABLET },
    { "; kf",                ANYWHERE,  TABLET },
    { "kindle",              HEAD,      TABLET },
    { "silk-accelerated",    HEAD,      TABLET },
    { "gt-p",                HEAD,      TABLET },
    { "gt-n51",              HEAD,      TABLET },
    { "gt-n80",              HEAD,      TABLET },
    { "sm-t",                HEAD,      TABLET },
    { "sm-p",                HEAD,      TABLET },
    { "sm-x",                HEAD,      TABLET },
    { "nexus 7",             HEAD,      TABLET },
    { "nexus 9",             HEAD,      TABLET },
    { "nexus 10",            HEAD,      TABLET },
    { "pixel c",             WORD,      TABLET },
    { "mediapad",            ANYWHERE,  TABLET },
    { "matepad",             ANYWHERE,  TABLET },
    { "xoom",                HEAD,      TABLET },
    { "transformer",         HEAD,      TABLET },
    { "lenovo tab",          HEAD,      TABLET },
    { "lenovo tb",           HEAD,      TABLET },
    { "tb-x",                HEAD,      TABLET },
    { "mi pad",              HEAD,      TABLET },
    { "redmi pad",           HEAD,      TABLET },
    { "oppo pad",            HEAD,      TABLET },
    { "vivo pad",            HEAD,      TABLET },
    { "galaxy tab",          HEAD,      TABLET },
    { "venue 7",             HEAD,      TABLET },
    { "venue 8",             HEAD,      TABLET },

    /* phones */

    { "iphone",              HEAD,      MOBILE },
    { "ipod",                HEAD,      MOBILE },
    { "windows phone",       HEAD,      MOBILE },
    { "iemobile",            HEAD,      MOBILE },
    { "windows ce",          HEAD,      MOBILE },
    { "mobi",                HEAD,      MOBILE },
    { "opera mini",          HEAD,      MOBILE },
    { "opera mobi",          HEAD,      MOBILE },
    { "blackberry",          HEAD,      MOBILE },
    { "bb10",                HEAD,      MOBILE },
    { "symb",                HEAD,      MOBILE },
    { "series60",            HEAD,      MOBILE },
    { "series40",            HEAD,      MOBILE },
    { "nokia",               HEAD,      MOBILE },
    { "midp",                HEAD,      MOBILE },
    { "j2me",                HEAD,      MOBILE },
    { "ucweb",               HEAD,      MOBILE },
    { "up.browser",          HEAD,      MOBILE },
    { "palm",                HEAD,      MOBILE },
    { "webos",               HEAD,      MOBILE },
    { "kaios",               HEAD,      MOBILE },
    { "bada",                HEAD,      MOBILE },
    { "maemo",               HEAD,      MOBILE },
    { "sailfish",            HEAD,      MOBILE },
    { "dalvik",              HEAD,      MOBILE },
    { "cfnetwork",           HEAD,      MOBILE },
    { "ios",                 WORD,      MOBILE },
    { "watchos",             HEAD,      MOBILE },
    { "openharmony",         HEAD,      MOBILE },
    { "phone",               TAIL,      MOBILE },

    { "android",             HEAD,      LARGE },

    /* all the others that have a system of their own */

    { "windows",             HEAD,      DESKTOP },
    { "win64",               HEAD,      DESKTOP },
    { "win32",               HEAD,      DESKTOP },
    { "win98",               HEAD,      DESKTOP },
    { "macintosh",           HEAD,      DESKTOP },
    { "mac os x",            HEAD,      DESKTOP },
    { "mac_powerpc",         HEAD,      DESKTOP },
    { "cros",                WORD,      DESKTOP },
    { "x11",                 HEAD,      DESKTOP },
    { "linux",               HEAD,      DESKTOP },
    { "freebsd",             HEAD,      DESKTOP },
    { "openbsd",             HEAD,      DESKTOP },
    { "netbsd",              HEAD,      DESKTOP },
    { "sunos",               HEAD,      DESKTOP },
    { "haiku",               HEAD,      DESKTOP },
    { "os/2",                HEAD,      DESKTOP }
};


/*
 * What Sec-CH-UA-Platform says, in lower case: the device where
 * Sec-CH-UA-Mobile says that it is no mobile one, and the device where
 * nothing else says anything.
 */

static const ngx_http_gray_device_platform_t
    ngx_http_gray_device_platforms[] =
{
    { "android",             TABLET,    MOBILE },
    { "ios",                 TABLET,    MOBILE },
    { "windows",             DESKTOP,   DESKTOP },
    { "macos",               DESKTOP,   DESKTOP },
    { "linux",               DESKTOP,   DESKTOP },
    { "chrome os",           DESKTOP,   DESKTOP },
    { "chromeos",            DESKTOP,   DESKTOP },
    { "chromium os",         DESKTOP,   DESKTOP },
    { "fuchsia",             DESKTOP,   DESKTOP }
};
