#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# A worker that is killed, anywhere, tears no document and blocks nobody:
# killed while others write, stopped and killed with the lock in its hands.

use strict;
use warnings;

use FindBin;
use Test::More;
use Time::HiRes ();

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Halt;
use Test::Gray::Process;
use Test::Gray::Running;

# without statistics nothing but a change takes the lock

my $t = Test::Gray->new->config(<<'END')->start;
worker_processes 2;

http {
    gray_zone gray 1m stats=off;

    gray_release app {
        zone gray;
        hash $arg_uid;
        variant off;
        variant on weight=50%;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORT_each%% reuseport;
        location = /pid { return 200 $pid; }
        location /      { return 200 "$gray_app $gray_app_revision"; }
        location /gray/ { gray_admin; }
    }
}
END


sub patch {
    my ($weight) = @_;

    return $t->api('PATCH', '/gray/releases/app',
                   { variants => { on => { weight => $weight } } });
}


sub document { return $t->api('GET', '/gray/releases/app')->{json} }


# workers die while somebody writes without a pause; who writes notes what was
# answered

my $writer = $t->child(sub {
    my $over;

    $SIG{USR1} = sub { $over = 1 };
    open my $fh, '>', $t->dir . '/answers';

    for (my $n = 0; !$over; $n++) {
        my $response = patch($n % 100);

        printf {$fh} "%s %s %s\n", $response->{status},
            $response->{json}{revision} || 0, $n % 100;
    }

    close $fh;
    POSIX::_exit(0);
});

my $kills = 10;

for (1 .. $kills) {
    my $revision = document()->{revision};

    ok(wait_until(sub { document()->{revision} > $revision }),
       'it is written');
    $t->kill_worker('KILL', ($t->workers)[rand 2]);
}

kill 'USR1', $writer;
wait_until(sub { !alive($writer) });
$t->reap($writer);

my @answers = map { [ split ] } split /\n/, $t->read_file('answers');
my @good = grep { $_->[0] == 200 } @answers;
my %other = map { $_->[0] => 1 } grep { $_->[0] != 200 } @answers;

# 599 is a connection of a worker that was killed

delete $other{599};

cmp_ok(scalar @good, '>', $kills, 'there were ' . @good . ' changes');
is(join(' ', keys %other), '', 'nothing else was answered');
is(scalar(grep { $good[$_][1] <= $good[$_ - 1][1] } 1 .. $#good), 0,
   'the revision always grows');

my $document = document();

cmp_ok($document->{revision}, '>=', $good[-1][1], 'nothing was lost');
is($document->{variants}{on}{weight}, $good[-1][2],
   'the last change is in force') if $document->{revision} == $good[-1][1];

# with the lock in their hands: before the new revision is stored, and behind
# that

SKIP: {
    my ($worker) = $t->workers;

    skip('no worker can be halted here', 1)
        if $ENV{TEST_NGINX_WRAPPER}
           || !can_halt($worker, 'ngx_http_gray_shm_unlock');

    held('ngx_http_gray_shm_publish_locked', 0);
    held('ngx_http_gray_shm_unlock', 1);
}

$t->done;


sub held {
    my ($function, $stored) = @_;

    is(patch(50)->{status}, 200, "$function: before");

    my $revision = document()->{revision};
    my ($worker, $connection) = %{ $t->http('each')->each_worker(2, '/pid') };

    halt_at($worker, $function);

    $connection->send(Test::Gray::HTTP::request_text(
        'PATCH', '/gray/releases/app', [ 'Content-Type' => 'application/json' ],
        '{"variants":{"on":{"weight":60}}}'));

    ok(wait_halted($worker), "$function: a worker stands still there");

    my $document = document();
    my $now = $document->{revision};

    is($now, $revision + $stored, "$function: the revision");
    is($t->get('/?uid=1')->{status}, 200, "$function: requests are served");

    # a change waits for the lock, for 100 ms

    my $running = Test::Gray::Running->new($t);
    my ($began, $since) = (Time::HiRes::time(), $running->now);
    my $response = patch(70);
    my $took = Time::HiRes::time() - $began;
    my $ran = $running->now - $since;

    is($response->{status}, 503, "$function: a change has to wait");
    is($response->{headers}{'retry-after'}, 1, "$function: and is told so");
    is($response->{json}{detail},
       'another process writes to the zone "gray" for 100 ms',
       "$function: and why");
    cmp_ok($took, '>', 0.08, "$function: it has waited");
    cmp_ok($ran, '<', $Test::Gray::Process::scale, "$function: not for long");

    $t->kill_worker('KILL', $worker);

    # none or all of what it wrote is there

    is_deeply(document(), $document, "$function: a whole document");

    $response = patch(80);

    is($response->{status}, 200, "$function: the lock is free");
    is($response->{json}{revision}, $now + 1, "$function: the next one");
}
