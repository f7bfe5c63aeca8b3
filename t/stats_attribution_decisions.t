#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# What is counted by which decision: its reason and rule; several of them; those
# that nobody uses; and without statistics.

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

my $counted = Test::Gray::Counted->new($t,
    app  => 'server 127.0.0.1:%%PORT_v2%%;',
    gone => 'server 127.0.0.1:%%PORT_dead%%;',
    map { $_ => undef } qw(keyed drawn nested off sw));

$t->write_file('keyed.json', <<'END');
{ "baseline": "stable", "hash": ["$arg_uid"],
  "variants": { "stable": {"upstream": "up_stable"},
                "canary": {"upstream": "up_app", "weight": 100} },
  "rules": [ { "when": {"$arg_a": "1"}, "variant": "stable" },
             { "name": "part", "when": {"$arg_a": "2"},
               "weights": {"canary": 100} } ] }
END

$t->config(<<"END")->start;
http {
    gray_zone quiet 1m stats=off;

${\$counted->http}
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
        ${\$counted->log}

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

        location /gray/ { gray_admin; access_log off; }
    }
}
END


sub get {
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return $counted->get(@_);
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

$t->done;
