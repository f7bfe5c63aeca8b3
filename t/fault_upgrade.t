#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# While the binary is upgraded there are two masters with a zone each.  With a
# state directory the workers of both write releases, in one order, and follow
# each other within a second; without one the old ones write nothing.

use strict;
use warnings;

use FindBin;
use JSON::PP ();
use Test::More;
use Time::HiRes;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Fault;
use Test::Gray::Record;
use Test::Gray::Process;
use Test::Gray::Running;

plan(skip_all => 'a wrapper is not upgraded') if $ENV{TEST_NGINX_WRAPPER};

my $scale = $Test::Gray::Process::scale;


sub text {
    my ($zone, $declared) = @_;

    return <<"END";
worker_processes 2;

http {
    gray_zone gray $zone;

    gray_release app { zone gray; hash \$arg_uid; variant off; variant on
                       weight=$declared%; }
    gray_release still { zone gray; variant off; variant on
                         weight=$declared%; }

    server {
        listen 127.0.0.1:%%PORT%%;
        keepalive_requests 100000;
        keepalive_timeout 600s;
        location = /app { return 200 "\$gray_app \$pid"; }
        location = /pid { return 200 \$pid; }
        location /gray/ { gray_admin; }
    }
}
END
}


# a kept connection to a worker of these; all of them accept

sub connection_to {
    my ($t, @pids) = @_;

    my %wanted = map { $_ => 1 } @pids;
    my $connection;

    wait_until(sub {
        my $one = $t->http->connect;
        $connection = $one if $wanted{$one->get('/pid')->{body}};
        return $connection;
    })
    or die "no worker of @pids answers\n";

    return $connection;
}


sub call {
    my ($connection, $method, $data, @headers) = @_;

    my $body = defined $data ? JSON::PP::encode_json($data) : undef;

    push @headers, 'Content-Type' => 'application/json' if defined $data;

    $connection->send(Test::Gray::HTTP::request_text($method,
                      '/gray/releases/app', \@headers, $body));

    my $answer = $connection->receive($method);

    $answer->{json} = eval { JSON::PP::decode_json($answer->{body}) };

    return $answer;
}


sub patch {
    my ($connection, $weight, @headers) = @_;

    return call($connection, 'PATCH',
                { variants => { on => { weight => $weight } } }, @headers);
}


sub seen {
    my ($connection) = @_;

    my $json = call($connection, 'GET')->{json};

    return [ $json->{revision}, $json->{variants}{on}{weight} ];
}


sub records { return journal_records($_[0]->read_file('state/app.jsonl')) }


sub row {
    my ($what, $expected, $good) = @_;

    record('Upgrades of the binary', $what, $expected,
           $good ? 'the same' : 'not so');

    return;
}


# -- with a state directory

{
    my $zone = '1m state=state history=1000';
    my $t = Test::Gray->new(daemon => 'on')->config(text($zone, 5))->start;

    my @old = $t->workers;

    for my $weight (1 .. 3) {
        is(patch(connection_to($t, @old), $weight)->{status}, 200, 'a change');
    }

    my $old_master = $t->upgrade;
    my @new = $t->workers;
    my $new_master = $t->master;
    my $new = connection_to($t, @new);
    my $old = connection_to($t, @old);

    is(scalar(@old) + @new, 4, 'workers of two masters');
    is_deeply(seen($new), [ 4, 3 ], 'the new ones begin with what is live');

    # in turn, each built on what the other one wrote

    my ($revision, $worst, $wrong) = (4, 0, 0);
    my $running = Test::Gray::Running->new($t);

    for my $round (1 .. 40) {
        my ($writer, $reader) = $round % 2 ? ($old, $new) : ($new, $old);
        my $answer = patch($writer, 10 + $round);

        $wrong++ if $answer->{status} != 200
                    || $answer->{json}{revision} != ++$revision;

        my $since = $running->now;
        my $followed = wait_until(sub {
            return seen($reader)->[0] == $revision;
        });
        my $took = $running->now - $since;

        $worst = $took if $took > $worst;
        $wrong++ if !$followed || seen($reader)->[1] != 10 + $round;
    }

    is($wrong, 0, '40 writes in turn, each follows the other');
    cmp_ok($worst, '<', 1 * $scale, 'within a second');
    diag(sprintf 'the other master\'s workers follow within %.3f s at worst',
         $worst);
    row('writes by workers of the old and of the new master in turn',
        'one order, each side follows within 1 s',
        $wrong == 0 && $worst < 1 * $scale);

    # without waiting: who is behind is not told so, but brought up

    $wrong = 0;

    for my $round (1 .. 40) {
        my $answer = patch($round % 2 ? $new : $old, 50 + $round % 40);

        $wrong++ if $answer->{status} != 200
                    || $answer->{json}{revision} != ++$revision;
    }

    is($wrong, 0, '40 writes in turn without a pause: one order');
    row('the same without a pause', 'one order, no write is refused',
        $wrong == 0);

    # a condition is judged by what the other one has written

    my $answer = patch($old, 1);

    is($answer->{json}{revision}, ++$revision, 'an old worker writes');
    is(patch($new, 2, 'If-Match' => '"' . ($revision - 1) . '"')->{status},
       412, 'If-Match of what was before is refused by a new one');
    ok(wait_until(sub { seen($new)->[0] == $revision }), 'which follows');
    is(patch($new, 2, 'If-Match' => "\"$revision\"")->{status}, 200,
       'and takes that of what was written');
    $revision++;

    # all at once

    my @pids;

    for my $client (1 .. 4) {
        push @pids, $t->child(sub {
            my $connection = connection_to($t, $client % 2 ? @old : @new);
            my @made;

            for my $round (1 .. 40) {
                my $weight = ($client * 20 + $round) % 100;
                my ($got, $answer);

                # half of them are built on what they have seen

                if ($client > 2) {
                    $got = seen($connection)->[0];
                    $answer = patch($connection, $weight,
                                    'If-Match' => "\"$got\"");

                } else {
                    $answer = patch($connection, $weight);
                }

                my $json = $answer->{json};

                push @made, join ' ', $answer->{status},
                            $json->{revision} || 0, $weight, $got || 0;
            }

            $t->write_file("made.$client", join("\n", @made) . "\n");
            POSIX::_exit(0);
        });
    }

    wait_until(sub { 4 == grep { -s $t->dir . "/made.$_" } 1 .. 4 },
               60 * $scale);
    $t->reap($_) for @pids;

    my (%made, %status);
    my ($twice, $unlike, $skipped) = (0, 0, 0);

    for my $client (1 .. 4) {
        for (split /\n/, $t->read_file("made.$client")) {
            my ($status, $number, $weight, $got) = split ' ';

            $status{$status}++;
            next if $status != 200;

            # a change to what is in force makes no revision

            $twice++ if exists $made{$number} && $made{$number} != $weight;
            $skipped++ if $got && $number != $got + 1 && $number != $got;
            $made{$number} = $weight;
        }
    }

    my @records = records($t);
    my %written = map { $_->{revision} => $_->{document}{variants}{on}{weight} }
                  grep { defined } @records;

    for my $number (keys %made) {
        $unlike++ if !defined $written{$number}
                     || $written{$number} != $made{$number};
    }

    $revision = (sort { $b <=> $a } keys %made)[0];

    note(join ', ', map { "$_: $status{$_}" } sort keys %status);
    is($twice, 0, 'at the same time: each 200 is a revision of its own');
    is($unlike, 0, 'with what was written');
    is($skipped, 0, 'If-Match: nothing came in between');
    is(scalar(grep { !defined } @records), 0, 'no line is torn');
    is_deeply([ map { $_->{revision} } @records ],
              [ 1 .. @records ], 'one order');
    # where a machine is busy, another process may write for 100 ms

    is_deeply([ grep { !/^(?:200|412|503)$/ } keys %status ], [],
              'nothing else was answered')
        or diag(join ', ', map { "$_: $status{$_}" } sort keys %status);
    cmp_ok($status{200} || 0, '>', 80, 'and many were 200');
    ok(wait_until(sub { seen($old)->[0] == $revision
                        && seen($new)->[0] == $revision }),
       'both have the last one');
    row('160 writes by workers of both masters at the same time',
        'each 200 is a line of its own, If-Match holds, no update is lost',
        !$twice && !$unlike && !$skipped
        && !grep { !/^(?:200|412|503)$/ } keys %status);

    # the new master is killed, with all that it has

    kill 'KILL', $new_master, @new;
    wait_until(sub { !grep { alive($_) } $new_master, @new });

    my $back = patch($old, 33);

    is($back->{status}, 200, 'the new master was killed: an old worker writes');
    is($back->{json}{revision}, ++$revision, 'the next revision');
    row('the new master and its workers are killed',
        'the old workers go on', $back->{status} == 200);

    # once more, and only the master is killed: its workers go on until told

    wait_until(sub { !-e $t->dir . '/nginx.pid.oldbin' });
    $t->{master} = $old_master;
    is($t->upgrade, $old_master, 'another upgrade');

    @new = $t->workers;
    $new_master = $t->master;
    $new = connection_to($t, @new);
    is_deeply(seen($new), [ $revision, 33 ], 'begins with what is live');

    kill 'KILL', $new_master;
    wait_until(sub { !alive($new_master) });

    is(patch($new, 34)->{json}{revision}, ++$revision,
       'its master was killed: a new worker writes');
    is(patch($old, 35)->{json}{revision}, ++$revision, 'and an old one');
    ok(wait_until(sub { seen($new)->[0] == $revision }),
       'they follow');

    kill 'QUIT', @new;
    undef $new;
    wait_until(sub { !grep { alive($_) } @new });

    # back out: the new master is told to go

    $t->{master} = $old_master;
    wait_until(sub { !-e $t->dir . '/nginx.pid.oldbin' });
    is($t->upgrade, $old_master, 'another upgrade');
    @new = $t->workers;
    $new_master = $t->master;
    $new = connection_to($t, @new);
    is(patch($new, 36)->{json}{revision}, ++$revision, 'a new worker writes');

    kill 'QUIT', $new_master;
    undef $new;
    ok(wait_until(sub { !alive($new_master) }), 'back out: it has ended');
    ok(wait_until(sub { seen($old)->[0] == $revision }),
       'the old ones have what it wrote');
    is(patch($old, 37)->{json}{revision}, ++$revision, 'and go on');
    row('back out: the new master is told to quit',
        'the old workers have what it wrote, and go on',
        seen($old)->[0] == $revision);

    # nginx.conf declares something else by then, and the old one goes

    $t->{master} = $old_master;
    wait_until(sub { !-e $t->dir . '/nginx.pid.oldbin' });
    $t->config(text($zone, 15));
    is($t->upgrade, $old_master, 'an upgrade with another nginx.conf');
    @new = $t->workers;
    $new = connection_to($t, @new);

    is_deeply(seen($new), [ $revision, 37 ], 'what was changed is kept');
    like($t->log, qr/\[notice\] .*release "app" was changed at run time and keeps its revision $revision,/,
         'the log says so');

    my $still = sub {
        return $t->api('GET', '/gray/releases/still')->{json};
    };

    is(JSON::PP::decode_json($new->get('/gray/releases/still')->{body})
         ->{variants}{on}{weight}, 15, 'what was not takes it up');

    kill 'QUIT', $old_master;
    undef $old;
    ok(wait_until(sub { !alive($old_master) }), 'the old master has ended');
    is(patch($new, 38)->{json}{revision}, ++$revision, 'the new ones go on');
    is_deeply([ @{ $still->() }{qw(revision origin)} ], [ 2, 'nginx.conf' ],
              'as declared');

    $t->stop;
    $t->start;
    is_deeply(seen($t->http->connect), [ $revision, 38 ],
              'a restart on the directory');
    is($still->()->{variants}{on}{weight}, 15, 'of the other, too');
    is($still->()->{revision}, 2, 'with its revision');
    row('an upgrade with another nginx.conf, the old master quits, a restart',
        'what was changed is kept, what was not takes up what is declared',
        $still->()->{variants}{on}{weight} == 15);

    $t->expect(qr/worker process \d+ exited on signal 9/,
               qr/process \d+ exited on signal 9/);
}


# -- without one

{
    my $t = Test::Gray->new(daemon => 'on')->config(text('1m', 5))->start;
    my @old = $t->workers;

    is(patch(connection_to($t, @old), 40)->{json}{revision}, 2,
       'without state: a change');

    my $old_master = $t->upgrade;
    my @new = $t->workers;
    my ($old, $new) = (connection_to($t, @old), connection_to($t, @new));

    is_deeply(seen($new), [ 1, 5 ], 'the new ones have what is declared');

    my $answer = patch($old, 41);

    is($answer->{status}, 503, 'an old worker refuses a write');
    is($answer->{json}{detail}, 'nginx is being upgraded and this connection '
                                . 'is one to an old worker, connect again; it '
                                . 'has no "state" to share with the new one',
       'and says why');
    is(call($old, 'DELETE')->{status}, 503, 'DELETE, too');
    is(call($old, 'GET')->{status}, 200, 'it reads');
    is_deeply(seen($old), [ 2, 40 ], 'nothing was changed');
    is(patch($new, 42)->{status}, 200, 'a new one writes');

    # back out

    my $new_master = $t->master;

    kill 'QUIT', $new_master;
    undef $new;
    ok(wait_until(sub { !alive($new_master) }), 'the new master has ended');
    $t->{master} = $old_master;

    my $accepted = wait_until(sub { patch($old, 43)->{status} == 200 });

    ok($accepted, 'the old ones write again');
    is_deeply(seen($old), [ 3, 43 ], 'on what they had');

    # the same where it was killed

    wait_until(sub { !-e $t->dir . '/nginx.pid.oldbin' });
    is($t->upgrade, $old_master, 'another upgrade');
    is(patch($old, 44)->{status}, 503, 'an old worker refuses a write');
    $new_master = $t->master;
    kill 'KILL', $new_master, $t->workers;
    wait_until(sub { !alive($new_master) });
    $t->{master} = $old_master;
    ok(wait_until(sub { patch($old, 44)->{status} == 200 }),
       'it was killed: they write again');

    row('an upgrade without `state`',
        'old workers refuse writes with 503, and accept them again once the '
        . 'new master is gone',
        $answer->{status} == 503 && $accepted);

    $t->expect(qr/process \d+ exited on signal 9/);
}

Test::Gray->done;
