#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# What may be written, and that it means what it says.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;

my $long = 'n' x 63;
my $t = Test::Gray->new;

$t->write_file('rules.conf', <<'END');
# a part of a block
match canary $http_x_canary = always;    # testers
END

$t->write_file('variants.conf', <<'END');
variant stable;
variant canary weight=0%;
END

$t->write_file('routed.json', <<'END');
{
  "baseline": "stable",
  "hash": ["$arg_uid"],
  "variants": {
    "stable": {"upstream": "v1"},
    "canary": {"upstream": "v2", "weight": 12.5}
  },
  "rules": [{"name": "testers",
             "when": {"$http_x_canary": ["always", "on"]},
             "variant": "canary"},
            {"name": "few", "when": {"$arg_few": {"exists": true}},
             "weights": {"canary": 100}}]
}
END

$t->config(<<"END")->start;
http {
    # for the variables of a long name

    variables_hash_bucket_size 128;

    # used before what it names: its zone, its upstreams

    gray_release early {
        zone late;
        variant stable v1;
        variant canary v2;
        match canary \$http_x_canary = always;
    }

    gray_release included {
        include rules.conf;         # rules may come first

        # comments
        zone gray;                  # and behind a directive
        include variants.conf;

        # a word in quotes, ";" and "{" in it
        match canary \$arg_a = "x;{} y" '#';
    }

    gray_release documented { document routed.json; zone gray; }

    gray_release $long { zone gray; variant v; }
    gray_release a1_upstreams { zone gray; variant v; }

    gray_release baselines {
        zone gray;
        variant canary weight=100%;
        variant stable;
        variant empty;
        baseline stable;
    }

    gray_release fine {
        zone gray;
        hash \$arg_uid;
        salt another;
        variant stable;
        variant b weight=0.0001%;
        variant c weight=12.5%;
        variant d weight=87.4999%;
        variant a-1.x_Y weight=0%;
        match a-1.x_Y \$arg_a = x and \$arg_b in 1 2 and \$arg_a !~ y name=r;
        match b \$arg_a exists and \$arg_b cidr 10.0.0.0/8 2001:db8::/32 ::1;
    }

    gray_release cookies {
        zone gray;
        cookie id expires=30d domain=example.com path=/x secure httponly
                  samesite=none;
        variant stable;
    }

    gray_zone gray 8m document=8k;
    gray_zone late 1m;

    map x \$upstream { default \$gray_a1_upstreams_upstream; }

    upstream v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream v2 { server 127.0.0.1:%%PORT_v2%%; }

    server {
        listen 127.0.0.1:%%PORT%%;

        location /early      { proxy_pass http://early; }
        location /documented { proxy_pass http://documented; }
        location /included   { return 200 \$gray_included; }
        location /cookies    { return 200 \$gray_cookies; }

        location /baselines {
            return 200 "\$gray_baselines \$gray_baselines_reason";
        }

        location /fine {
            return 200 "\$gray_fine \$gray_fine_reason \$gray_fine_rule";
        }

        location /names {
            return 200 "\$gray_$long \$gray_a1_upstreams \$upstream,";
        }

        location /gray/      { gray_admin; }
        location = /exact    { gray_admin readonly; }
        location ^~ /both/   { gray_admin remote readonly; }
    }

    server { listen 127.0.0.1:%%PORT_v1%%; return 200 v1; }
    server { listen 127.0.0.1:%%PORT_v2%%; return 200 v2; }
}
END

my @canary = ('X-Canary' => 'always');

sub body { return $t->get(@_)->{body} }

is(body('/early'), 'v1', 'declared before its zone and upstreams');
is(body('/early', @canary), 'v2', '... a rule');

is(body('/included'), 'stable', 'include');
is(body('/included', @canary), 'canary', 'a rule that was included');
is(body('/included?a=#'), 'stable', 'a comment is none in quotes');

is(body('/documented'), 'v1', 'document: no key');
is(body('/documented', @canary), 'v2', 'document: rule');
is(body('/documented?few=1&uid=7'), 'v2', 'document: rule with weights');

is(body('/baselines'), 'canary random', 'baseline is not the first variant');
is(body('/names'), 'v v ,', 'names');

is(body('/fine?a=x&b=2'), 'a-1.x_Y rule r', 'conditions all hold');
is(body('/fine?a=x&b=3&uid=1') =~ s/^[bcd] //r, 'split ',
   'one condition does not hold');
is(body("/fine?a=-&b=$_"), 'b rule 1', "cidr $_")
    for '10.1.2.3', '2001:db8::5', '::1';
is(body('/fine?a=-&b=11.0.0.1'), 'stable no_key ', 'cidr 11.0.0.1');

# 12.5 and 87.4999 and 0.0001 percent leave nothing for the baseline

is(scalar(grep { body("/fine?uid=$_") !~ /^[bcd] split / } 1 .. 50), 0,
   'weights of 100% in sum');

like($t->get('/cookies')->{headers}{'set-cookie'},
     qr{^id=[0-9a-f]{32};[ ]Path=/x;[ ]Domain=example\.com;[ ]Max-Age=2592000;
        [ ]Secure;[ ]HttpOnly;[ ]SameSite=none$}x,
     'every parameter of a cookie');

$t->stop;

# the module is loaded and nothing of it is used, or there is no http{}

for my $text ("http { server { listen 127.0.0.1:%%PORT%%; return 200 ok; } }\n",
              "http { gray_zone gray 1m;\n"
              . "server { listen 127.0.0.1:%%PORT%%; return 200 ok; } }\n")
{
    $t->config($text)->start;
    is(body('/'), 'ok', 'not used');
    ok($t->reload, 'not used: reload');
    $t->stop;
}

$t->config("events { }\n")->start;
ok($t->reload, 'no http{}: reload');

# and what comes and goes with a reload

$t->config(<<'END');
http {
    gray_zone gray 1m;
    gray_release app { zone gray; variant v; }
    server { listen 127.0.0.1:%%PORT%%; return 200 $gray_app; }
}
END

ok($t->reload, 'http{} comes');
is(body('/'), 'v', 'http{} serves');

$t->config("events { }\n");
ok($t->reload, 'http{} goes');

$t->done;
