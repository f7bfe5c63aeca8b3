#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# The upstream of the baseline is taken out of nginx.conf in the middle of a
# rollout: what is declared serves then, by other weights than those of the
# document.  That is no fault of the canary, and the rollout waits.

use strict;
use warnings;

use FindBin;
use JSON::PP;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;

my $t = Test::Gray->new;

sub text {
    my ($baseline, $weight) = @_;

    return <<"END";
worker_processes 2;

http {
    gray_zone gray 4m state=state;

    upstream $baseline { server 127.0.0.1:%%PORT_up%%; }
    upstream two       { server 127.0.0.1:%%PORT_up%%; }

    gray_release app {
        zone gray;
        hash \$arg_u;
        variant stable $baseline;
        variant canary two weight=$weight%;
    }

    server {
        listen 127.0.0.1:%%PORT_up%%;
        return 200;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        location /      { proxy_pass http://app; }
        location /gray/ { gray_admin; }
    }
}
END
}

my $release = '/gray/releases/app';
my $asked = 0;

sub see { return $t->api('GET', "$release/rollout")->{json} }
sub weight { return $t->api('GET', $release)->{json}{variants}{canary}{weight} }
sub act { return $t->api('POST', "$release/rollout/$_[0]") }
sub ask { return $t->many($_[0], sub { return '/?u=' . $asked++ }) }

$t->config(text('one', 0))->start;

is($t->api('PATCH', $release, { rollout => {
       variant => 'canary', hold => '1h', max_hold => '2h',
       steps => [ { weight => 5 }, { weight => 10 } ],
       guards => [ { name => 'split', sample_ratio => JSON::PP::true(),
                     action => 'rollback' } ],
   } })->{status}, 200, 'a plan');
is(act('start')->{status}, 200, 'start');
ok(wait_until(sub { ask(100); see()->{requests} }), 'it counts');

$t->config(text('another', 50));
ok($t->reload, 'the upstream of the baseline is gone');
ok(wait_until(sub { see()->{state} eq 'paused' }), 'it waits');
like(see()->{reason}, qr/^the baseline's upstream is gone, what nginx.conf /,
     'for what');
is(act('resume')->{status}, 409, 'it is not resumed');

ask(2000);
ok(wait_until(sub { see()->{state} ne 'paused' }, 3) ? 0 : 1,
   'it waits still') or diag(see()->{reason});
is(weight(), 5, 'no weight was changed');

$t->config(text('one', 0));
ok($t->reload, 'it is there again');
ok(wait_until(sub { act('resume')->{status} == 200 }), 'it is resumed');
ok(wait_until(sub { ask(100); see()->{state} eq 'running' }), 'and runs');

$t->expect(qr/names are unknown to nginx.conf/,
           qr/the baseline's upstream "one" is gone/);
$t->done;
