#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Why a request got its variant: every reason, by all the variables of a
# release; and a release as a feature switch.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;

my $t = Test::Gray->new;

my %document = (
    disabled => '{ "enabled": false, "baseline": "stable",
                   "hash": ["$arg_uid"],
                   "variants": { "stable": {"upstream": "app_v1"},
                                 "canary": {"upstream": "app_v2",
                                            "weight": 100} },
                   "rules": [ { "when": {"$arg_uid": {"exists": true}},
                                "variant": "canary" } ] }',
    ruled    => '{ "baseline": "stable", "hash": ["$arg_uid"],
                   "variants": { "stable": {"upstream": "app_v1"},
                                 "canary": {"upstream": "app_v2",
                                            "weight": 0} },
                   "rules": [ { "when": {"$arg_a": "1"},
                                "variant": "canary" },
                              { "name": "second", "when": {"$arg_a": "2"},
                                "variant": "stable" },
                              { "name": "part", "when": {"$arg_a": "3"},
                                "weights": {"canary": 100} },
                              { "name": "none", "when": {"$arg_a": "4"},
                                "weights": {"canary": 0} },
                              { "name": "late", "when": {"$arg_a": "1"},
                                "variant": "stable" } ] }',
);

$t->write_file("$_.json", $document{$_}) for keys %document;


# all the variables of a release in one

sub variables {
    my ($release) = @_;

    my $value = join '|', map { "\$gray_$release$_" }
                '', qw(_upstream _reason _rule _bucket _revision);

    return "    map $release \$$release { default \"$value\"; }\n";
}


my $maps = join '', map { variables($_) }
           qw(disabled ruled keyed drawn feature);

(my $config = <<'END') =~ s/^MAPS$/$maps/m;
http {
    gray_zone gray 4m;

    upstream app_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream app_v2 { server 127.0.0.1:%%PORT_v2%%; }

    gray_release disabled { zone gray; document disabled.json; }
    gray_release ruled    { zone gray; document ruled.json; }

    gray_release keyed {
        zone gray;
        hash $http_x_uid $arg_uid;
        variant stable app_v1;
        variant canary app_v2 weight=100%;
    }

    gray_release drawn {
        zone gray;
        variant stable app_v1;
        variant canary app_v2 weight=30%;
    }

    gray_release feature {
        zone gray;
        hash $arg_uid;
        variant off;
        variant on;
        match on $http_x_feature exists;
    }

MAPS

    server {
        listen 127.0.0.1:%%PORT%%;

        location /disabled {
            add_header X-D $disabled;
            proxy_pass http://disabled;
        }

        location /ruled {
            add_header X-D $ruled;
            proxy_pass http://ruled;
        }

        location /keyed {
            add_header X-D $keyed;
            proxy_pass http://keyed;
        }

        location /drawn {
            add_header X-D $drawn;
            proxy_pass http://drawn;
        }

        location /feature {
            add_header X-D $feature;
            return 200 $gray_feature;
        }

        location /decisions { return 200 $gray_decisions; }

        location /if {
            if ($gray_feature = on) { return 200 "new"; }
            return 200 "old";
        }

        location /static/ {
            root %%DIR%%/$gray_feature;
            add_header X-D $feature;
        }

        location /gray/ { gray_admin; }
    }

    server { listen 127.0.0.1:%%PORT_v1%%; return 200 v1; }
    server { listen 127.0.0.1:%%PORT_v2%%; return 200 v2; }
}
END

$t->config($config)->start;

for my $variant (qw(on off)) {
    mkdir $t->dir . "/$variant";
    mkdir $t->dir . "/$variant/static";
    $t->write_file("$variant/static/page", "page when $variant");
}


# variant, upstream, reason, rule, bucket, revision; # stands for a number

my @cases = (
    [ '/disabled?uid=1', 'v1', 'stable|app_v1|disabled|||1' ],
    [ '/ruled?uid=1', 'v1', 'stable|app_v1|split||#|1' ],
    [ '/ruled', 'v1', 'stable|app_v1|no_key|||1' ],
    [ '/ruled?a=1', 'v2', 'canary|app_v2|rule|0||1' ],
    [ '/ruled?a=2&uid=1', 'v1', 'stable|app_v1|rule|second||1' ],
    [ '/ruled?a=3&uid=1', 'v2', 'canary|app_v2|rule_split|part|#|1' ],
    [ '/ruled?a=4&uid=1', 'v1', 'stable|app_v1|rule_split|none|#|1' ],
    [ '/ruled?a=3', 'v1', 'stable|app_v1|no_key|part||1' ],
    [ '/keyed?uid=1', 'v2', 'canary|app_v2|split||#|1' ],
    [ '/keyed?uid=', 'v1', 'stable|app_v1|no_key|||1' ],
    [ '/feature?uid=1', 'off', 'off||split||#|1' ],
    [ '/feature', 'on', 'on||rule|0||1', 'X-Feature' => 'yes' ],
    [ '/static/page', 'page when off', 'off||no_key|||1' ],
    [ '/static/page', 'page when on', 'on||rule|0||1', 'X-Feature' => 1 ],
);

for my $case (@cases) {
    my ($path, $body, $decision, @headers) = @$case;
    my $response = $t->get($path, @headers);

    # who was not drawn has no bucket

    my $got = $response->{headers}{'x-d'} =~ s/\|\d+(?=\|\d+$)/|#/r;

    is($got, $decision, "$path @headers");
    is($response->{body}, $body, "$path @headers: body");
}

is($t->get('/if')->{body}, 'old', 'if');
is($t->get('/if', 'X-Feature' => 1)->{body}, 'new', 'if, by a rule');

# the first key that is not empty

my @buckets = map { (split /\|/, $_->{headers}{'x-d'})[4] }
    $t->get('/keyed?uid=a', 'X-Uid' => 'b'), $t->get('/keyed?uid=b'),
    $t->get('/keyed?uid=b', 'X-Uid' => ''), $t->get('/keyed?uid=a');

is($buckets[0], $buckets[1], 'the first key');
is($buckets[2], $buckets[1], 'an empty key is none');
isnt($buckets[3], $buckets[1], 'the second key');

# by chance: within 4 sigma, and a bucket is nobody's

my @drawn = $t->many(10_000, sub { '/drawn?uid=1' });
my %count;

$count{$_->{headers}{'x-d'}}++ for @drawn;

is(join(' ', sort keys %count),
   'canary|app_v2|random|||1 stable|app_v1|random|||1', 'by chance');
cmp_ok(abs($count{'canary|app_v2|random|||1'} - 3000), '<',
       4 * sqrt(10_000 * 0.3 * 0.7), '30% of 10,000 within 4 sigma');

# all at once, in the order of nginx.conf

like($t->get('/decisions?uid=1&a=1', 'X-Feature' => 1)->{body},
     qr/^disabled=stable,ruled=canary,keyed=canary,
        drawn=(?:stable|canary),feature=on$/x, '$gray_decisions');

# the revision is the one that decided

is($t->api('PATCH', '/gray/releases/feature',
           { variants => { on => { weight => 100 } } })->{status}, 200,
   'change of a switch');
like($t->get('/feature?uid=1')->{headers}{'x-d'}, qr/^on\|\|split\|\|\d+\|2$/,
     'the next revision');

$t->done;
