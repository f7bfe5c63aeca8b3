#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Actions of a rollout while others hold what they need: the lock of the state
# directory, without which the document cannot be changed, or that of the zone.
# Who asked for it may be gone meanwhile.

use strict;
use warnings;

use FindBin;
use Fcntl;
use JSON::PP;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Exposition;
use Test::Gray::Halt;
use Test::Gray::Process;


my $text = <<'END';
worker_processes 2;

http {
    gray_zone  gray 2m state=state;

    upstream app_v1 { server 127.0.0.1:1; }
    upstream app_v2 { server 127.0.0.1:2; }

    gray_release app {
        zone     gray;
        variant  stable app_v1;
        variant  canary app_v2;
    }

    server {
        listen  127.0.0.1:%%PORT%%;
        listen  127.0.0.1:%%PORT_each%% reuseport;

        location /gray/  { gray_admin; }
        location = /pid  { return 200 $pid; }
    }
}
END

my $t = Test::Gray->new->config($text)->start;

my $release = '/gray/releases/app';
my $rollout = "$release/rollout";

sub post { return $t->api('POST', "$rollout/$_[0]") }
sub state_of { return $t->api('GET', $rollout)->{json}{state} }
sub weight { return $t->api('GET', $release)->{json}{variants}{canary}{weight} }
sub text { return Test::Gray::HTTP::request_text('POST', "$rollout/$_[0]",
                                                 []) }

my @steps = map { { weight => $_ } } 1 .. 20;

is($t->api('PATCH', $release, { rollout => {
       variant => 'canary', hold => '1h', max_hold => '1h', cooldown => '0s',
       steps => \@steps,
   } })->{status}, 200, 'a plan');
is(post('start')->{status}, 200, 'start');
is(weight(), 1, 'its weight');


# -- somebody else writes to the directory

# as struct flock is on 64 bits: type, whence, start, length

my $held = pack 's s x4 q q i x4', F_WRLCK, 0, 0, 1, 0;
my $free = pack 's s x4 q q i x4', F_UNLCK, 0, 0, 1, 0;

open my $lock, '+<', $t->dir . '/state/.lock' or die "state/.lock: $!\n";
fcntl $lock, F_SETLK, $held or die "fcntl: $!\n";

my $r = post('promote');

is($r->{status}, 503, 'held: promote');
like($r->{json}{detail},
     qr/^the rollout has changed, but its document could not be, which is tri/,
     'held: what has happened');
is($r->{headers}{'retry-after'}, 1, 'held: it may be asked again');
is(weight(), 1, 'held: no weight yet');
is($t->api('GET', $rollout)->{json}{step}, 2, 'held: but a step');

fcntl $lock, F_SETLK, $free or die "fcntl: $!\n";
ok(wait_until(sub { weight() == 2 }), 'free: the weight comes by itself');

# what is decided, and not in force, is not told as if it were

sub pending {
    return total(scrape($t, '/gray/metrics'), 'nginx_gray_rollout_pending',
                 release => 'app');
}

sub verdict { return $t->api('GET', "$rollout/verdict?wait=$_[0]") }

fcntl $lock, F_SETLK, $held or die "fcntl: $!\n";
is(post('rollback')->{status}, 503, 'held: a rollback');
is(pending(), 1, 'held: metrics tell it');

$r = verdict(0);

is($r->{status}, 409, 'held: it is a failure');
like($r->{json}{detail}, qr/^rolled back, but its weight is not 0 yet, .*: by /,
     'held: but nobody is told that all is well again');

my $waits = $t->http->connect;

$waits->send(Test::Gray::HTTP::request_text('GET', "$rollout/verdict?wait=1h",
                                            []));
fcntl $lock, F_SETLK, $free or die "fcntl: $!\n";
ok(wait_until(sub { weight() == 0 }), 'free: the rollback');
is($waits->receive('GET')->{status}, 409, 'free: who waits is told');
ok(wait_until(sub { state_of() eq 'idle' }), 'free: it is over');
is(pending(), 0, 'free: metrics, too');
is(verdict(0)->{status}, 409, 'free: and was none');

# a directory that stays as it is: nginx can go back without one

is(post('start')->{status}, 200, 'once more');
is(weight(), 1, 'with a weight');
fcntl $lock, F_SETLK, $held or die "fcntl: $!\n";
is(post('rollback')->{status}, 503, 'held: a rollback');

$t->config($text =~ s/ state=state//r);
ok($t->reload, 'held: nginx does without the directory');
ok(wait_until(sub { weight() == 0 }), 'held: the rollback, all the same');

fcntl $lock, F_SETLK, $free or die "fcntl: $!\n";
$t->config($text);
ok($t->reload, 'free: with it');
is(weight(), 0, 'free: it stays so');
ok(wait_until(sub { $t->read_file('state/app.jsonl')
                    =~ /"weight":0\}[^\n]*\n\z/ }), 'free: and is kept');
ok(wait_until(sub { state_of() eq 'idle' }), 'free: it is over');

is(post('start')->{status}, 200, 'once more');
fcntl $lock, F_SETLK, $held or die "fcntl: $!\n";
is($t->api('POST', "$rollout/promote", { full => JSON::PP::true() })->{status},
   503, 'held: the end');
is(state_of(), 'succeeded', 'held: a success');

$r = verdict(0);

is($r->{status}, 504, 'held: of which nobody deploys another one');
like($r->{json}{detail}, qr/^the rollout has succeeded, but its variant is not/,
     'held: as it says');
is($r->{json}{verdict}, 'pending', 'held: and pipelines, too');

fcntl $lock, F_SETLK, $free or die "fcntl: $!\n";
is(verdict('30s')->{status}, 200, 'free: success');
is($t->api('GET', $release)->{json}{baseline}, 'canary', 'free: in force');

is($t->api('PATCH', $release, {
       baseline => 'stable',
       variants => { stable => { weight => undef }, canary => { weight => 2 } }
   })->{status}, 200, 'back');
is(post('start')->{status}, 200, 'and on');
is(post('promote')->{status}, 200, 'to where it was');

# clients that do not wait for it: some leave at once, some a bit later

fcntl $lock, F_SETLK, $held or die "fcntl: $!\n";

my @connections = map {
    my $connection = $t->http->connect;

    $connection->send(text('promote'));
    $connection;
} 1 .. 4;

close $_->{socket} for @connections[0, 1];
ok(wait_until(sub { $t->api('GET', $rollout)->{json}{step} == 3 }),
   'gone: it is done all the same');
close $_->{socket} for @connections[2, 3];

fcntl $lock, F_SETLK, $free or die "fcntl: $!\n";
ok(wait_until(sub { weight() == 3 }), 'gone: the weight, too');

# what waits for the lock is not done any more, once it is not wished for

my $stale = 0;

for my $round (1 .. 10) {
    my $weight = weight();
    my $step = $t->api('GET', $rollout)->{json}{step};

    last if $step == @steps;

    fcntl $lock, F_SETLK, $held or die "fcntl: $!\n";

    my $connection = $t->http->connect;

    $connection->send(text('promote'));
    wait_until(sub { $t->api('GET', $rollout)->{json}{step} == $step + 1 })
        or die "it is not promoted\n";
    die "it is not paused\n" if post('pause')->{status} != 200;

    fcntl $lock, F_SETLK, $free or die "fcntl: $!\n";
    $connection->receive('POST');

    $stale++ if weight() != $weight;

    die "it is not resumed\n" if post('resume')->{status} != 200;
    wait_until(sub { weight() == $weight + 1 }) or die "no weight\n";
}

is($stale, 0, 'paused: no weight is set after that');

# nor is a weight overwritten that an operator has set meanwhile

my %came;

for my $round (1 .. 4) {
    post('abort');
    $t->api('PATCH', $release, { variants => { canary => { weight => 0 } } });
    die "it is not started\n" if post('start')->{status} != 200;

    fcntl $lock, F_SETLK, $held or die "fcntl: $!\n";

    @connections = map { $t->http->connect } 1, 2;

    $connections[0]->send(Test::Gray::HTTP::request_text(
        'PATCH', $release, [ 'Content-Type' => 'application/json' ],
        '{"variants": {"canary": {"weight": 50}}}'));
    $connections[1]->send(text('promote'));
    wait_until(sub { $t->api('GET', $rollout)->{json}{step} == 2 })
        or die "it is not promoted\n";

    fcntl $lock, F_SETLK, $free or die "fcntl: $!\n";

    my ($status) = map { $_->receive('POST')->{status} } @connections;

    $came{weight()}++ if $status == 200;
}

is_deeply([ keys %came ], [ 50 ], 'an operator: his weight is not overwritten')
    or diag(join ', ', map { "$_: $came{$_}" } sort keys %came);

@connections = map {
    my $connection = $t->http->connect;

    $connection->send(text($_));
    $connection;
} map { ('rollback', 'abort') } 1 .. 10;

my @answers = map { $_->receive('POST') } @connections;

is_deeply([ map { $_->{body} }
            grep { $_->{status} != 200 && $_->{status} != 409 } @answers ],
          [], 'all at once: each is answered');
ok(wait_until(sub { state_of() =~ /^(?:aborted|idle)$/ }), 'it has ended');


# -- a worker stands still with the lock of the zone, and is killed

SKIP: {
    my ($worker) = $t->workers;

    skip('no worker can be halted here', 1)
        if $ENV{TEST_NGINX_WRAPPER}
           || !can_halt($worker, 'ngx_http_gray_shm_unlock');

    my $each = $t->http('each')->each_worker(2, '/pid');

    ($worker, my $connection) = %$each;

    my ($other) = map { $each->{$_} } grep { $_ ne $worker } keys %$each;

    halt_at($worker, 'ngx_http_gray_shm_unlock');
    $connection->send(text('start'));
    ok(wait_halted($worker), 'a worker stands still');

    $other->send(text('start'));
    $r = $other->receive('POST');

    is($r->{status}, 503, 'another has to wait');
    like($r->{body}, qr/another process writes to the zone \\"gray\\" for/,
         'as it says');

    $t->kill_worker('KILL', $worker);
    is(post('start')->{status}, 200, 'the lock is free');
    ok(wait_until(sub { state_of() eq 'running' && weight() == 1 }),
       'it runs');
}

$t->done;
