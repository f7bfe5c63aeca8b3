#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# What was counted, and the gauge of requests under way, where workers are
# killed and halted: with successors and without, of old configurations, in the
# middle of a turn of the rings, and where there is one process only.

use strict;
use warnings;

use FindBin;
use IO::Select;
use POSIX       ();
use Test::More;
use Time::HiRes ();

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Backend;
use Test::Gray::Exposition;
use Test::Gray::Halt;
use Test::Gray::Process;
use Test::Gray::WebSocket;

# "slow" answers when the file "go" is there

my $backend = Test::Gray->new;

$backend->daemon(socket => websocket(sub { return $_[0] }));
$backend->daemon(slow => http(sub {
    my ($head, $socket) = @_;

    my $gone = IO::Select->new($socket);

    wait_until(sub { -e 'go' || $gone->can_read(0) }, 100);
    return 'slow';
}));

$backend->config(<<'END')->start;
http {
    server {
        listen 127.0.0.1:%%PORT%%;

        proxy_http_version  1.1;

        location /       { return 200 fast; }
        location /slow   { proxy_pass http://127.0.0.1:%%PORT_slow%%; }
        location /socket {
            proxy_pass        http://127.0.0.1:%%PORT_socket%%;
            proxy_set_header  Upgrade $http_upgrade;
            proxy_set_header  Connection upgrade;
        }
    }
}
END

my $t = Test::Gray->new;


sub text {
    my ($main, $size) = @_;

    my $port = $backend->port;
    my $listen = $main =~ /master/ ? '' : 'reuseport';

    return <<"END";
$main

http {
    gray_zone gray $size;

    upstream v1 { server 127.0.0.1:$port; }
    upstream v2 { server 127.0.0.1:$port; }

    gray_release app {
        zone     gray;
        hash     \$arg_u;
        variant  stable v1;
        variant  canary v2 weight=0%;
        match    canary \$arg_v = 2;
    }

    map \$http_upgrade \$to_upstream {
        default  close;
        ''       '';
    }

    server {
        listen 127.0.0.1:%%PORT%% $listen;

        location / {
            proxy_pass          http://app;
            proxy_http_version  1.1;
            proxy_set_header    Upgrade \$http_upgrade;
            proxy_set_header    Connection \$to_upstream;
        }

        location = /pid     { return 200 \$pid; }
        location = /metrics { gray_metrics; }
        location /gray/     { gray_admin; }
    }
}
END
}


# what is said by a worker to which there is a connection, or by any

sub metrics {
    my ($t, $connection) = @_;

    return scrape(($connection || $t)->get('/metrics'));
}


# requests under way, "stable canary"

sub live {
    my $metrics = metrics(@_);

    return join ' ', map { total($metrics, 'nginx_gray_live_requests',
                                 release => 'app', variant => $_) }
                     qw(stable canary);
}


# what is counted, "stable canary"

sub counted {
    my $metrics = metrics(@_);

    return join ' ', map { total($metrics, 'nginx_gray_requests_total',
                                 release => 'app', variant => $_) }
                     qw(stable canary);
}


# the event loop is asked until it is so, as requests are on their way

sub becomes {
    my ($code, $value, $name, $connection) = @_;

    my $is;

    wait_until(sub { ($is = $code->($t, $connection)) eq $value });

    return is($is, $value, $name);
}


# so many connections to a worker, each with a request for the path under way

sub hold {
    my ($t, $pid, $n, $path) = @_;

    my @held;

    while (@held < $n) {
        my $connection = $t->http->connect;

        next if $connection->get('/pid')->{body} != $pid;

        $connection->send(Test::Gray::HTTP::request_text('GET', $path, []));
        push @held, $connection;
    }

    return @held;
}


# how many of those that are held have got an answer

sub answered {
    return scalar grep { my $r = eval { $_->receive('GET') };
                         $r && $r->{status} == 200 } @_;
}


# they get one, as do all others

sub let_go {
    my (@held) = @_;

    $backend->write_file('go', '');

    my $n = answered(@held);

    unlink $backend->dir . '/go';

    return $n;
}


# one that the master does not expect to be replaced; nothing else is waited
# for: what a scrape says now is what is to be known of it

sub kill_one {
    my ($pid) = @_;

    $t->expect(qr/worker process $pid exited on signal 9/);
    kill 'KILL', $pid;
    wait_until(sub { !alive($pid) }) or die "worker $pid is there still\n";

    return;
}


sub state_of { return (Test::Gray::Process::stat_of($_[0]))[0] }


sub halt {
    my ($pid) = @_;

    kill 'STOP', $pid;
    wait_until(sub { state_of($pid) eq 'T' }) or die "$pid is not halted\n";

    return;
}


$t->config(text('worker_processes 3;', '1m'))->start;

my %worker = %{ $t->each_worker('/pid') };
my ($victim, $other, $third) = sort { $a <=> $b } keys %worker;

is(live($t), '0 0', 'nothing is under way');


# -- a worker that holds requests is killed, and nobody takes its place

my @lost = (hold($t, $victim, 3, '/slow'), hold($t, $victim, 2, '/slow?v=2'));
my @kept = hold($t, $other, 1, '/slow');

becomes(\&live, '4 2', 'requests under way', $worker{$other});

halt($t->master);
kill_one($victim);

for my $pid ($other, $third) {
    is(live($t, $worker{$pid}), '1 0',
       "those of a worker that was killed are not, says $pid");
    is(live($t, $worker{$pid}), '1 0', '... nor later');
    is(counted($t, $worker{$pid}), '0 0', '... and are not counted');
}

is(answered(@lost), 0, 'they get no answer');

# its place is empty, then somebody has it

my $mark = $t->{log}->mark;

kill 'CONT', $t->master;
wait_until(sub { $t->{log}->started($mark) }) or die "no successor\n";

%worker = %{ $t->each_worker('/pid') };

my ($successor) = grep { $_ != $other && $_ != $third } keys %worker;

is(live($t, $worker{$successor}), '1 0', 'a successor begins with none');

push @kept, hold($t, $successor, 2, '/slow?v=2');

becomes(\&live, '1 2', '... and has its own', $worker{$other});
is(let_go(@kept), 3, 'which are answered');
becomes(\&live, '0 0', '... and are not under way any more');
is(counted($t), '1 2', 'what was answered is counted, of both of it');

# one that is killed as soon as it is there, many times

for (1 .. 5) {
    @lost = hold($t, $successor, 2, '/slow');
    becomes(\&live, '2 0', 'requests under way');
    $mark = $t->{log}->mark;
    kill_one($successor);
    wait_until(sub { $t->{log}->started($mark) }) or die "no successor\n";
    %worker = %{ $t->each_worker('/pid') };
    ($successor) = grep { $_ != $other && $_ != $third } keys %worker;
    is(live($t), '0 0', 'none is left over');
}

is(counted($t), '1 2', '... and none is counted');


# -- old workers of a reload: nobody succeeds them

@lost = hold($t, $other, 2, '/slow?v=2');
@kept = hold($t, $third, 1, '/slow');

my ($lost, $stays) = map {
    my $pid = $_;
    my $socket;

    until ($socket) {
        my $connection = $t->http->connect;

        next if $connection->get('/pid')->{body} != $pid;
        $socket = Test::Gray::WebSocket->new(Fixed->new($connection),
                                             '/socket');
    }

    $socket;
} $other, $third;

is($_->ask('hello'), 'hello', 'a WebSocket') for $lost, $stays;
becomes(\&live, '3 2', 'requests and WebSockets under way');

ok($t->reload, 'a reload');

is(live($t), '3 2', 'an old worker has them still');
is($stays->ask('again'), 'again', '... and serves them');

my ($new) = $t->workers;

push @kept, hold($t, $new, 1, '/slow?v=2');
becomes(\&live, '3 3', '... together with those of new ones');

kill_one($other);
is(live($t), '2 1', 'not when it was killed');
is(counted($t), '1 2', '... and they are not counted');

is(let_go(@kept), 2, 'others are answered');
becomes(\&live, '1 0', 'the WebSocket goes on');
is(counted($t), '2 3', 'what was answered is counted');
is($stays->ask('and again'), 'and again', '... and serves');
ok($stays->close, 'it is closed');
becomes(\&live, '0 0', '... and not under way any more');
is(counted($t), '3 3', '... but counted');
is(total(metrics($t), 'nginx_gray_streams_total', variant => 'stable'), 1,
   '... as a stream');

ok(wait_until(sub { !alive($third) }), 'the old worker has ended');
is(live($t), '0 0', '... and left nothing');
is(counted($t), '3 3', '... of either');


# -- workers that stand still

%worker = %{ $t->each_worker('/pid') };
($victim, $other, $third) = sort { $a <=> $b } keys %worker;

# scrapes and requests of the others, as ever

sub others_go_on {
    my ($name, $live) = @_;

    my ($before) = split / /, counted($t, $worker{$other});
    my $began = Time::HiRes::time();

    for (1 .. 20) {
        for my $pid ($other, $third) {
            is($worker{$pid}->get('/')->{body}, 'fast', $name) if $_ == 1;
            $worker{$pid}->get('/') if $_ > 1;
            metrics($t, $worker{$pid});
        }
    }

    cmp_ok(Time::HiRes::time() - $began, '<', 5 * $Test::Gray::Process::scale,
           "$name: nobody waits");
    becomes(sub { (split / /, counted(@_))[0] }, $before + 40,
            "$name: all is counted", $worker{$third});
    is(live($t, $worker{$third}), $live, "$name: requests under way");

    return;
}

@kept = hold($t, $victim, 2, '/slow');
becomes(\&live, '2 0', 'requests under way', $worker{$other});
halt($victim);
others_go_on('a halted worker', '2 0');
kill 'CONT', $victim;
is(let_go(@kept), 2, 'it goes on');
becomes(\&live, '0 0', '... to the end');
is(counted($t), '45 3', '... and counts what it had');

SKIP: {
    skip 'no symbols, or no /proc', 10
        unless can_halt($victim, 'ngx_http_gray_turns_tick');

    # with the lock; the turn of others comes when they are halted

    @kept = hold($t, $victim, 1, '/slow');
    halt($_) for $other, $third;
    halt_at($victim, 'ngx_http_gray_turns_tick');
    my $halted = wait_halted($victim);
    kill 'CONT', $other, $third;

    ok($halted, 'a worker stands still in a turn of the rings');

    others_go_on('in a turn', '1 0');

    my $patch = JSON::PP->new->encode({ enabled => JSON::PP::false() });
    my $change = sub {
        $worker{$other}->send(Test::Gray::HTTP::request_text(
            'PATCH', '/gray/releases/app',
            [ 'Content-Type' => 'application/json' ], $patch));
        return $worker{$other}->receive('PATCH')->{status};
    };

    is($change->(), 503, 'it has the lock');

    $mark = $t->{log}->mark;
    kill_one($victim);
    is(live($t, $worker{$other}), '0 0', 'killed there, it has no requests');
    wait_until(sub { $t->{log}->started($mark) }) or die "no successor\n";
    is($change->(), 200, '... and no lock');
    is(counted($t), '85 3', 'nothing was lost');
}

$t->stop;


# -- no master

my $single = Test::Gray->new;

$single->config(text('master_process off;', '1m'));

my $pid = $single->spawn($single->command('-c',
                                          $single->dir . '/nginx.conf'));

$single->wait_port('');

is($single->get('/')->{body}, 'fast', 'a single process');
becomes(sub { counted($single) }, '1 0', '... counts');
@kept = (hold($single, $pid, 1, '/slow'), hold($single, $pid, 2, '/slow?v=2'));
becomes(sub { live($single) }, '1 2', '... has requests under way');
is(let_go(@kept), 3, '... and answers');
becomes(sub { live($single) }, '0 0', '... all of them');
is(counted($single), '2 2', '... and counts them');

# nginx does not serve after a reload without a master, but it lives

@kept = hold($single, $pid, 1, '/slow');
becomes(sub { live($single) }, '1 0', 'a request of before a reload');

for my $size (qw(1m 2m 3m 1m)) {
    $single->config(text('master_process off;', $size));
    kill 'HUP', $pid;
    ok($single->wait_log(qr/reconfiguring\n(?:.*\n)*?.*using the/),
       "a reload, $size");
}

is(let_go(@kept), 1, 'the request is answered');

for my $signal (qw(HUP QUIT)) {
    ok(alive($pid), 'nginx lives');
    kill $signal, $pid;
    $single->wait_log(qr/reconfiguring\n(?:.*\n)*?.*using the/)
        if $signal eq 'HUP';
}

ok(wait_until(sub { waitpid $pid, POSIX::WNOHANG() }), '... and ends');
is($?, 0, '... in peace');
delete $single->{children}{$pid};

$t->done;


# an HTTP client that has one connection

package Fixed;


sub new {
    my ($class, $connection) = @_;

    return bless { connection => $connection, timeout => 10 }, $class;
}


sub connect { return $_[0]{connection} }
