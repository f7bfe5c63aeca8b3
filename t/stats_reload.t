#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# What was counted stays over reloads: with other numbers of workers, other
# sizes of the zone, releases that come and go, statistics that are switched
# off and on.  It does not over a restart, and a new binary begins anew.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Exposition;
use Test::Gray::Process;
use Test::Gray::Release;

my $backend = Test::Gray->new->config(<<'END')->start;
http {
    server {
        listen 127.0.0.1:%%PORT%%;
        location /    { return 200; }
        location /500 { return 500; }
    }
}
END

my $t = Test::Gray->new(daemon => 'on');

my %is = (workers => 2, zone => '2m', releases => 'app other');
my %sent;


sub configure {
    my (%change) = @_;

    %is = (%is, %change);

    my $port = $backend->port;

    my $releases = join '', map { <<"END" } split ' ', $is{releases};
    gray_release $_ {
        zone     gray;
        hash     \$arg_u;
        variant  stable v1;
        variant  canary v2 weight=0%;
        match    canary \$arg_v = 2 name=second;
        match    canary \$arg_x ~ ^(a+)+\$ name=long;
    }
END

    my $locations = join '', map { "location /$_ { proxy_pass http://$_/; }\n" }
                             split ' ', $is{releases};

    $t->config(<<"END");
worker_processes $is{workers};

http {
    gray_zone gray $is{zone};

    upstream v1 { server 127.0.0.1:$port; }
    upstream v2 { server 127.0.0.1:$port; }

    $releases

    server {
        listen 127.0.0.1:%%PORT%% reuseport;

        $locations

        location = /pid     { return 200 \$pid; }
        location = /metrics { gray_metrics; }
        location /gray/     { gray_admin; }
    }
}
END

    return $t;
}


# some requests by each worker, of which some fail

sub send_some {
    my (@names) = @_;

    my %worker = %{ $t->each_worker('/pid') };

    for my $connection (values %worker) {
        for my $name (@names) {
            for my $n (1 .. 3) {
                for my $v (1, 2) {
                    my $path = $n == 3 ? "/$name/500?v=$v" : "/$name?v=$v";
                    my $class = $n == 3 ? '5xx' : '2xx';

                    $connection->get($path);
                    $sent{"$name $v $class"}++;
                }
            }
        }
    }

    return scalar keys %worker;
}


sub counted {
    my ($metrics, @names) = @_;

    my %counted;

    for my $name (@names) {
        for my $v (1, 2) {
            for my $class (qw(2xx 5xx)) {
                $counted{"$name $v $class"} =
                    total($metrics, 'nginx_gray_requests_total',
                          release => $name, code => $class,
                          variant => (undef, qw(stable canary))[$v]);
            }
        }
    }

    return \%counted;
}


# counted is what was sent, in whatever place of the metrics

sub stays {
    my ($name, @names) = @_;

    @names = split ' ', $is{releases} unless @names;

    my %expected = map { $_ => $sent{$_} } grep { /^(\S+)/; my $of = $1;
                                                  grep { $_ eq $of } @names }
                   keys %sent;
    my $metrics;

    # requests are counted a moment after they are answered

    wait_until(sub {
        $metrics = scrape($t, '/metrics');
        return eq_hash(counted($metrics, @names), \%expected);
    });

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is_deeply(counted($metrics, @names), \%expected, $name);

    for my $of (@names) {
        my %about = (release => $of);
        my $n = total($metrics, 'nginx_gray_requests_total', %about);

        is_deeply([
            total($metrics, 'nginx_gray_request_duration_seconds_count',
                  %about),
            total($metrics, 'nginx_gray_response_header_seconds_count',
                  %about),
            total($metrics, 'nginx_gray_rule_matches_total', %about,
                  rule => 'second'),
            total($metrics, 'nginx_gray_live_requests', %about),
        ], [ $n, $n, $sent{"$of 2 2xx"} + $sent{"$of 2 5xx"}, 0 ], "$name, $of: times, rules");
    }

    return $metrics;
}


# -- other numbers of workers

configure()->start;
send_some(qw(app other));
stays('two workers');

for my $workers (1, 4, 20, 3) {
    configure(workers => $workers);
    ok($t->reload(gone => 1), "$workers workers");
    stays('... have what there was');
    is(send_some(qw(app other)), $workers, '... and each counts');
    stays('... to that');
}


# -- other sizes of the zone: it is another one, to which all comes along

# what counts by releases, too: a user "a...b" is too long for the pattern

$t->get('/app?x=' . 'a' x 200 . 'b');
$sent{'app 1 2xx'}++;

my $limited = total(stays('a pattern that is given up'),
                    'nginx_gray_limited_total', release => 'app');

cmp_ok($limited, '>', 0, '... is counted');

for my $zone (qw(3m 2m 4m)) {
    configure(zone => $zone);
    ok($t->reload(gone => 1), "a zone of $zone");

    my $metrics = stays('... has what there was');

    is(total($metrics, 'nginx_gray_limited_total', release => 'app'), $limited,
       '... of the release, too');
    send_some(qw(app other));
    stays('... and counts to that');
}


# -- an old worker of another zone says nothing that is less a moment later

# new workers are there, and the old ones are not yet told to end

my %before;
my $halted;

for (1 .. 20) {
    configure(zone => $is{zone} eq '2m' ? '3m' : '2m');

    my $mark = $t->{log}->mark;

    %before = %{ $t->each_worker('/pid') };
    kill 'HUP', $t->master;
    wait_until(sub { $t->{log}->started($mark) >= $is{workers} });
    kill 'STOP', $t->master;
    wait_until(sub { (Test::Gray::Process::stat_of($t->master))[0] eq 'T' });

    $halted = !grep { $t->{log}->quitting($_) } keys %before;
    last if $halted;

    kill 'CONT', $t->master;
    wait_until(sub { !grep { alive($_) } keys %before });
}

ok($halted, 'the master stands still in a reload');

# what is counted by them now nobody will know

for my $pid (keys %before) {
    $before{$pid}->get('/app');

    my $answer = $before{$pid}->get('/metrics');

    is($answer->{status}, 503, 'an old worker has no metrics');
    is($answer->{headers}{'retry-after'}, 1, '... for now');
    like($answer->{body}, qr/old worker/, '... as it is an old one');
}

kill 'CONT', $t->master;
wait_until(sub { !grep { alive($_) } keys %before });
stays('new ones have');


# -- releases that come and go

configure(releases => 'app other third');
ok($t->reload(gone => 1), 'one more release');
$sent{"third $_"} = 0 for '1 2xx', '1 5xx', '2 2xx', '2 5xx';
stays('... has nothing, and others have what there was');
send_some(qw(app other third));
stays('... and it counts');

configure(releases => 'third');
ok($t->reload(gone => 1), 'one alone');
is_deeply([ series(stays('... has what there was'),
                   'nginx_gray_requests_total', release => 'app') ], [],
          '... and of others there is nothing');
send_some('third');

configure(releases => 'other app third');
ok($t->reload(gone => 1), 'they come back');
stays('... with what there was');
send_some(qw(app other third));
stays('... and count');


# -- without statistics, and with them again

configure(zone => "$is{zone} stats=off");
ok($t->reload(gone => 1), 'no statistics');

my $metrics = scrape($t, '/metrics');

is_deeply($metrics->{nginx_gray_requests_total}, undef, '... no requests');
is_deeply($metrics->{nginx_gray_live_requests}, undef, '... none under way');
is(total($metrics, 'nginx_gray_enabled'), 3, '... but releases');

my %kept = %sent;

send_some(qw(app third));
%sent = %kept;

$is{zone} =~ s/ stats=off//;
configure();
ok($t->reload(gone => 1), 'statistics again');
stays('... of before, as that is in the zone');
send_some(qw(app other third));
stays('... and they go on');


# -- a restart, and a new binary

$t->stop;
%sent = map { $_ => 0 } keys %sent;
$t->start;
stays('nothing is left after a restart');
send_some(qw(app other third));
stays('... and it counts');

my %old = %{ $t->each_worker('/pid') };
my $old = $t->upgrade;
my %new;

for (1 .. 1000) {
    my $connection = $t->http->connect;
    my $pid = $connection->get('/pid')->{body};

    $new{$pid} ||= $connection unless $old{$pid};
    last if keys %new == $is{workers};
}

my @names = split ' ', $is{releases};

is_deeply(counted(scrape((values %old)[0]->get('/metrics')), @names), \%sent,
          'an upgrade: the old binary has what there was');

%sent = map { $_ => 0 } keys %sent;

is_deeply(counted(scrape((values %new)[0]->get('/metrics')), @names), \%sent,
          '... the new one has nothing');

kill 'QUIT', $old;
wait_until(sub { !alive($old) });
send_some(@names);
stays('... and counts');
$t->stop;


# -- statistics for which there is no memory yet

configure(zone => '2m stats=off', releases => 'app')->start;
$is{zone} = '2m';
configure();
ok($t->reload(gone => 1), 'statistics for the first time');
ok($t->wait_log(qr/"app" has no memory for statistics until the zone's size/),
   '... have no memory');
is_deeply(scrape($t, '/metrics')->{nginx_gray_requests_total}, undef,
          '... and there are none');

configure(zone => '3m');
ok($t->reload(gone => 1), '... but have it in a zone of another size');
%sent = map { $_ => 0 } 'app 1 2xx', 'app 1 5xx', 'app 2 2xx', 'app 2 5xx';
stays('... in which nothing was counted');
send_some('app');
stays('... and it counts');


# -- more workers than there are places, for requests under way

$t->stop;
configure(workers => 67)->start;
%sent = map { $_ => 0 } keys %sent;
is(send_some('app'), 67, '67 workers count');
is(() = $t->log =~ /has 64 processes already, requests under way are not/g, 3,
   '... three of which have no place for requests under way');
stays('... all of them');

$t->done;
