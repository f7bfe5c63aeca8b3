#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# What is counted by which decision: its reason and rule, several of them, and
# those that no upstream of a variant is reached by: feature switches, files,
# and variables, also with the name of an upstream.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Acting;
use Test::Gray::Counted;
use Test::Gray::Release;

my $t = Test::Gray->new;

$t->daemon($_ => acting($_)) for qw(v1 v2);

my $counted = Test::Gray::Counted->new($t, qw(app keyed drawn nested gone direct
                                              off sw));

$t->write_file('keyed.json', <<'END');
{ "baseline": "stable", "hash": ["$arg_uid"],
  "variants": { "stable": {"upstream": "up_stable"},
                "canary": {"upstream": "up_app", "weight": 100} },
  "rules": [ { "when": {"$arg_a": "1"}, "variant": "stable" },
             { "name": "part", "when": {"$arg_a": "2"},
               "weights": {"canary": 100} } ] }
END

mkdir $t->dir . "/html$_" for '', qw(/canary /stable /on /off);
$t->write_file("html/$_/file", $_) for qw(canary stable on off);
$t->write_file('html/page', 'page');

$t->config(<<"END")->start;
http {
    gray_zone gray 8m document=4k;
    gray_zone quiet 1m stats=off;
    variables_hash_max_size 2048;
    variables_hash_bucket_size 128;

    proxy_cache_path %%DIR%%/cache keys_zone=cache:1m;

${\$counted->metrics}
    upstream up_stable { server 127.0.0.1:%%PORT_v1%%; }
    upstream up_app    { server 127.0.0.1:%%PORT_v2%%; }
    upstream up_gone   { server 127.0.0.1:%%PORT_dead%%; }

    gray_release app {
        zone gray;
        hash \$remote_addr;
        variant stable up_stable;
        variant canary up_app weight=100%;
    }

    gray_release keyed { zone gray; document keyed.json; }

    gray_release drawn {
        zone gray;
        variant stable up_stable;
        variant canary up_app weight=100%;
    }

    # a rule that reads the release itself

    map \$gray_nested \$itself { default yes; }

    gray_release nested {
        zone gray;
        hash \$remote_addr;
        variant stable up_stable;
        variant canary up_app weight=100%;
        match canary \$itself = yes name=itself;
    }

    gray_release gone {
        zone gray;
        hash \$remote_addr;
        variant stable up_stable;
        variant canary up_gone weight=100%;
    }

    gray_release direct {
        zone gray;
        hash \$remote_addr;
        variant stable up_stable;
        variant canary 127.0.0.1:%%PORT_v2%% weight=100%;
    }

    gray_release off {
        zone quiet;
        hash \$remote_addr;
        variant stable up_stable;
        variant canary up_app weight=100%;
    }

    gray_release sw {
        zone gray;
        hash \$remote_addr;
        variant off;
        variant on weight=100%;
    }

    log_format reads '\$gray_app \$gray_decisions';

    server {
        listen 127.0.0.1:%%PORT%%;
        root %%DIR%%/html;
        ${\$counted->log}

        proxy_intercept_errors on;

        location /app    { proxy_pass http://app; }
        location /keyed  { proxy_pass http://keyed; }
        location /drawn  { proxy_pass http://drawn; }
        location /nested { proxy_pass http://nested; }
        location /off    { proxy_pass http://off; }

        # nothing asks, or in the log alone

        location /all      { add_header X-All \$gray_decisions;
                             proxy_pass http://up_stable; }
        location /all/app  { add_header X-All \$gray_decisions;
                             proxy_pass http://app; }
        location /logged   { ${\$counted->log}
                             access_log %%DIR%%/reads.log reads;
                             proxy_pass http://up_stable; }
        location /told     { add_header X-Told "\$gray_app_outcome";
                             proxy_pass http://up_stable; }

        # two

        location /two       { add_header X-Sw \$gray_sw always;
                              proxy_pass http://app; }
        location /two/other { add_header X-Keyed \$gray_keyed;
                              proxy_pass http://app; }
        location /two/gone  { auth_request /gone; proxy_pass http://app; }
        location /gone      { proxy_pass http://gone; }

        # variables

        location /header { add_header X-App \$gray_app; return 204; }
        location /app/files/ { alias html/\$gray_app/; }

        location /up       { proxy_pass http://\$gray_app_upstream; }
        location /up/page  { proxy_pass http://\$gray_app_upstream;
                             error_page 500 502 =200 /page; }
        location /up/then  { proxy_pass http://127.0.0.1:%%PORT_v1%%;
                             error_page 500 = \@up; }
        location /up/lost  { proxy_pass http://\$gray_app_upstream;
                             error_page 500 = \@away; }
        location /up/gone  { proxy_pass http://\$gray_gone_upstream; }
        location /up/static { set \$used \$gray_app;
                              proxy_pass http://up_app; }
        location \@up       { proxy_pass http://\$gray_app_upstream; }
        location \@away     { proxy_pass http://127.0.0.1:%%PORT_v1%%; }
        location /direct   { proxy_pass http://direct; }
        location /up/direct { proxy_pass http://\$gray_direct_upstream; }

        # a feature switch

        location /sw/text   { return 200 \$gray_sw; }
        location /sw/moved  { set \$used \$gray_sw; return 301 /; }
        location /sw/failed { set \$used \$gray_sw; return 500; }
        location /sw/paged  { set \$used \$gray_sw; return 500;
                              error_page 500 =200 /page; }
        location /sw/files/ { alias html/\$gray_sw/; }
        location /sw/up     { set \$used \$gray_sw;
                              proxy_pass http://up_app; }
        location /sw/page   { set \$used \$gray_sw;
                              proxy_pass http://up_app;
                              error_page 500 502 =200 /page; }
        location /sw/then   { set \$used \$gray_sw;
                              proxy_pass http://up_app;
                              error_page 500 502 = \@away; }
        location /sw/gone   { set \$used \$gray_sw;
                              proxy_pass http://up_gone; }
        location /sw/cached { proxy_pass http://up_app;
                              proxy_cache cache;
                              proxy_cache_key \$gray_sw;
                              proxy_cache_valid 1h; }
        location /sw/check  { set \$used \$gray_sw;
                              auth_request /sw/denied;
                              proxy_pass http://up_app; }
        location /sw/denied { return 403; }

        location /gray/ { gray_admin; access_log off; }
    }
}
END


sub get {
    my ($path, $do, $status, @expected) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $response = $counted->case("$path $do", sub {
        return $t->get("/$path", $do ? ('X-Do' => $do) : ());
    }, @expected);

    is($response->{status}, $status, "$path $do: status");

    return $response;
}


my $ok = '2xx, header, duration';

# reasons

get('app', '', 200, "app canary: split $ok");
get('keyed?uid=1', '', 200, "keyed canary: split $ok");
get('keyed', '', 200, "keyed stable: no_key $ok");
get('keyed?a=1', '', 200, 'keyed: rule 0', "keyed stable: rule $ok");
get('keyed?a=2&uid=1', 'v2 500', 500, 'keyed: rule part',
    'keyed canary: rule_split 5xx, header, duration');
get('drawn', '', 200, "drawn canary: random $ok");
get('nested', '', 200, 'nested: rule itself, degraded_total',
    "nested canary: rule $ok");

patch($t, 'app', { enabled => JSON::PP::false() });
$counted->forget(0);
get('app', '', 200, "app stable: disabled $ok");
patch($t, 'app', { enabled => JSON::PP::true() });
$counted->forget(0);

# what decides without being used

my $degraded = 'nested: degraded_total';

like(get('all', '', 200, $degraded)->{headers}{'x-all'},
     qr/^app=canary,.*sw=on$/, 'all are decided');
get('all/app', '', 200, "app canary: split $ok", $degraded);
get('logged', '', 200);
get('told', '', 200);

# without statistics the log has it still, and is the only one

get('off', '', 200, 'log: off 2xx x1', 'log: off header x1');
get('off', 'v2 close', 502, 'log: off 5xx x1', 'log: off reset x1');

# several

get('two', '', 200, "app canary: split $ok", "sw on: split $ok");
get('two', 'v2 500', 500, 'app canary: split 5xx, header, duration',
    'sw on: split 5xx, header, duration');
get('two/other?uid=1', '', 200, "app canary: split $ok",
    "keyed canary: split $ok");
get('two/other', '', 200, "app canary: split $ok", 'keyed stable: local');
get('two/gone', '', 500, 'gone canary: split 5xx, connect, duration');

# variables

get('header', '', 204, 'app canary: local');
get('app/files/file', '', 200, 'app canary: local');

for my $path (qw(up up/static)) {
    get($path, '', 200, "app canary: split $ok");
    get($path, 'v2 404', 404, 'app canary: split 4xx, header, duration');
    get($path, 'v2 close', 502, 'app canary: split 5xx, reset, duration');
    get($path, 'v2 short', 599, 'app canary: split 2xx, reset, header,'
                                . ' duration');
}

get('up/page', 'v2 500', 200, 'app canary: split 5xx, header, duration');
get('up/page', 'v2 close', 200, 'app canary: split 5xx, reset, duration');
get('up/then', 'v1 500', 200, "app canary: split $ok");
get('up/gone', '', 502, 'gone canary: split 5xx, connect, duration');
get('up/direct', '', 200, "direct canary: split $ok");
get('direct', '', 200, "direct canary: split $ok");

# no variant is known there any more

get('up/lost', 'v2 500', 200, 'app canary: local');

# a feature switch: by an upstream, whichever, or else by the response

get('sw/text', '', 200, 'sw on: split 2xx, duration');
get('sw/moved', '', 301, 'sw on: split 3xx, duration');
get('sw/failed', '', 500, 'sw on: split 5xx, duration');
get('sw/paged', '', 200, 'sw on: split 2xx, duration');
get('sw/files/file', '', 200, 'sw on: split 2xx, duration');
get('sw/files/none', '', 404, 'sw on: split 4xx, duration');
get('sw/up', '', 200, "sw on: split $ok");
get('sw/up', 'v2 500', 500, 'sw on: split 5xx, header, duration');
get('sw/up', 'v2 close', 502, 'sw on: split 5xx, duration');
get('sw/page', 'v2 500', 200, 'sw on: split 5xx, header, duration');
get('sw/page', 'v2 close', 200, 'sw on: split 5xx, duration');
get('sw/then', 'v2 500', 200, 'sw on: split 5xx, header, duration');
get('sw/gone', '', 502, 'sw on: split 5xx, duration');
get('sw/cached', '', 200, "sw on: split $ok");
get('sw/cached', 'v2 500', 200, 'sw on: split 2xx, duration');
get('sw/check', '', 403, 'sw on: split 4xx, duration');

$counted->case('sw: the client leaves', sub {
    my $connection = $t->http->connect;

    $connection->send(Test::Gray::HTTP::request_text(
                          'GET', '/sw/up', [ 'X-Do' => 'v2 silent' ]));
    acted($t, 'v2 silent');
    return;
}, 'sw on: split 499, duration');

$t->done;
