#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Lists, where a call fails or a process dies at any point of a write: what is
# answered with 503 has changed nothing, and a list is the old or the new one.

use strict;
use warnings;

use FindBin;
use Test::More;
use Time::HiRes;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Fault;
use Test::Gray::Process;

plan(skip_all => 'make test FAILPOINTS=1') unless has_failpoints();

my $t = Test::Gray->new->config(<<'END')->start;
worker_processes 2;

http {
    gray_zone gray 1m state=state;

    gray_release app {
        zone     gray;
        variant  off;
        variant  on weight=0%;
        match    on $arg_uid in_list vip;
    }

    server {
        listen 127.0.0.1:%%PORT%% reuseport;

        location = /on  { return 200 $gray_app; }
        location = /pid { return 200 $pid; }
        location /gray/ { gray_admin; }
    }
}
END

my $state = $t->dir . '/state';

# of a write, in order

my @steps = (
    [ list_open       => 'making the file' ],
    [ list_write      => 'writing the file' ],
    [ list_flush      => 'syncing the file' ],
    [ list_seal       => 'writing the header of the file' ],
    [ list_seal_flush => 'syncing the header of the file' ],
    [ list_directory  => 'opening the directory' ],
    [ list_rename     => 'renaming the file' ],
    [ list_sync       => 'syncing the directory' ],
);

my @points = map { $_->[0] } @steps;
my %step = map { @$_ } @steps;

my @errors = qw(EIO ENOSPC EROFS EMFILE);

my %says = (
    EIO    => 'Input/output error',
    ENOSPC => 'No space left on device',
    EROFS  => 'Read-only file system',
    EMFILE => 'Too many open files',
);


sub put {
    my ($name, $body) = @_;

    return $t->api('PUT', "/gray/lists/$name", $body,
                   'Content-Type' => 'text/plain');
}


sub get { return $t->get("/gray/lists/$_[0]") }
sub decision { return $t->get("/on?uid=$_[0]")->{body} }
sub temporary { return grep { !/\.lock$/ } glob "$state/.[!.]*" }


# a list of many lines that all say which one it is

sub body {
    my ($id) = @_;

    return join '', map { "$id-$_\n" } 1 .. 1000;
}


# what can be seen of all lists: files to the byte, answers, decisions

sub snapshot {
    my $vip = get('vip');

    return {
        files     => { map { $_ => slurp($_) }
                       grep { !/\.lock$/ }
                       glob "$state/* $state/.[!.]*" },
        vip       => [ @$vip{qw(status body)}, $vip->{headers}{etag} ],
        new       => get('new')->{status},
        status    => $t->api('GET', '/gray/lists')->{json},
        decisions => [ map { decision($_) } 'a-1', 'b-1', 'c-1' ],
    };
}


# -- the points, and what may be armed there

hits($t);
is(put('vip', body('a'))->{status}, 201, 'a list');

# journals are looked at meanwhile

my @passed = grep { /^list_/ } hits($t);

is_deeply(\@passed,
          [ qw(list_open list_write list_flush list_seal list_write
               list_seal_flush list_directory list_rename list_sync) ],
          'the points of a write, in order');
is_deeply([ sort @points, 'list_back' ], [ points('list_') ],
          'there are no others but one, on the way back');

arm($t, list_open => 'EIO once');
is_deeply([ map { put('vip', body('b'))->{status} } 1 .. 3 ],
          [ 503, 200, 200 ], 'once');
ok(fired($t, 'list_open'), 'it has fired');

arm($t, '*' => 'ENOSPC');
is(put('vip', body('a'))->{status}, 503, 'all points');
is((hits($t))[-1], 'list_open', 'the first one ends it');

arm($t, list_rename => 'sleep=300');

my $since = Time::HiRes::time();

is(put('vip', body('a'))->{status}, 200, 'sleep');
cmp_ok(Time::HiRes::time() - $since, '>=', 0.3, 'for as long');
disarm($t);


# -- calls that fail

for my $point (@points) {
    my @write = ([ PUT => 'vip', body('b') ], [ PUT => 'new', body('c') ],
                 [ DELETE => 'gone' ]);
    my @faults;

    is(put('gone', body('c'))->{json}{list}, 'gone', "$point: one to delete");

    my $before = snapshot();

    for my $error (@errors) {
        arm($t, $point => $error);

        for (@write) {
            my ($method, $name, $body) = @$_;

            my $answer = $t->api($method, "/gray/lists/$name", $body,
                                 'Content-Type' => 'text/plain');

            push @faults, "$method $name $error: $answer->{status}"
                if $answer->{status} != 503;

            is($answer->{status}, 503, "$point, $error: $method $name");
            like($answer->{json}{detail},
                 qr/nothing was changed: $says{$error}$/, 'detail');
        }

        disarm($t);

        my $after = snapshot();

        is_deeply($after, $before, "$point, $error: nothing was changed")
            or push @faults, "$error: something was changed";
    }

    record('Lists',
           "$step{$point} (`$point`) fails with " . join(', ', @errors)
           . ': `PUT`, `PUT` of a new list, `DELETE`',
           '503, nothing is changed',
           @faults ? join('; ', @faults) : '503, nothing was changed');

    is(put('vip', body('b'))->{status}, 200, "$point: it goes on");
    is(decision('b-1'), 'on', 'and is in force');
    is(put('vip', body('a'))->{status}, 200, 'and back');
}


# -- what cannot be taken back

arm($t, list_sync => 'EIO', list_back => 'EROFS');

my $unknown = put('vip', body('b'));

is($unknown->{status}, 503, 'neither kept nor taken back');
like($unknown->{json}{detail}, qr/^the outcome is unknown: .* may come into/,
     'and the answer says so');
disarm($t);

ok(wait_until(sub { my $r = get('vip');
                    $r->{body} eq body('a') || $r->{body} eq body('b') }),
   'one or the other');
record('Lists', 'the directory cannot be synced, nor the file be put back',
       '503, "the outcome is unknown"; the old list or the new one',
       "$unknown->{status}, \""
       . ($unknown->{json}{detail} =~ /^([^:]+)/)[0]
       . '"; ' . (get('vip')->{body} eq body('b') ? 'the new list'
                                                  : 'the old list'));
is(put('vip', body('a'))->{status}, 200, 'and it goes on');


# -- writes that are interrupted, or do less than they were asked for

for ([ 'EINTR once' => 'is interrupted by a signal' ],
     [ 'short=1000' => 'takes 1000 bytes at a time' ])
{
    my ($action, $what) = @$_;

    hits($t);
    arm($t, list_write => $action);

    my $answer = put('vip', body('b'));
    my $writes = grep { $_ eq 'list_write' } hits($t);

    disarm($t);

    is($answer->{status}, 200, "$action: PUT");
    cmp_ok($writes, '>', 2, 'more calls than without');
    is(get('vip')->{body}, body('b'), 'the whole list');
    is(decision('b-1000'), 'on', 'in force');

    my $whole = get('vip')->{body} eq body('b') && decision('b-1000') eq 'on';

    record('Lists', "$step{list_write} $what", '200, the list is whole',
           "$answer->{status}, the list "
           . ($whole ? 'is whole' : 'is not whole'));

    is(put('vip', body('a'))->{status}, 200, 'and back');
}


# -- a worker dies at each point, and then everything else

for my $point (@points) {
    my ($old) = get('vip')->{headers}{etag} =~ /(\d+)/;

    arm($t, $point => 'kill once');

    my $answer = killed($t, sub { put('vip', body('b')) });

    is($answer->{status}, 599, "$point, kill: no answer");
    ok(fired($t, $point), "$point, kill: it was this point");

    my $now = get('vip');
    my ($revision) = $now->{headers}{etag} =~ /(\d+)/;
    my $seen = $now->{body} eq body('a') && $revision == $old ? 'the old list'
             : $now->{body} eq body('b') && $revision == $old + 1
             ? 'the new list' : 'something else';

    isnt($seen, 'something else', "$point, kill: $seen, whole");

    # in force is what GET shows, in all workers, at the latest when they have
    # looked at the directory

    my $in_force = $seen eq 'the new list' ? 'b-1' : 'a-1';

    ok(wait_until(sub { !grep { decision($in_force) ne 'on' } 1 .. 8 }),
       'it is in force');

    $t->crash;
    disarm($t);
    $t->start;

    is(get('vip')->{body}, $now->{body}, 'a crash changes nothing of it');
    is(get('vip')->{headers}{etag}, $now->{headers}{etag}, 'nor the revision');
    is(decision($in_force), 'on', 'it is in force');

    record('Lists',
           "the worker is killed before $step{$point} (`$point`), then all of "
           . 'nginx',
           'no answer; the old list or the new one, whole, also after a '
           . 'restart',
           ($answer->{status} == 599 ? 'no answer' : $answer->{status})
           . "; $seen"
           . (get('vip')->{body} eq $now->{body}
              ? ', also after a restart' : ', another one after a restart'));

    is(put('vip', body('c'))->{json}{revision}, $revision + 1,
       "$point, kill: it goes on");
    is(put('vip', body('a'))->{status}, 200, 'and back');
    ok(wait_until(sub { !temporary() }), 'what was not finished is removed')
        or diag(temporary());
}


# -- a worker stands still with the lock

my %worker = %{ $t->each_worker('/pid') };
my ($still, $other) = keys %worker;

sub send_put {
    my ($pid, $body) = @_;

    return $worker{$pid}->send(Test::Gray::HTTP::request_text(
        'PUT', '/gray/lists/vip', [ 'Content-Type' => 'text/plain' ], $body));
}

arm($t, list_sync => 'stop once');
send_put($still, body('b'));

is(stopped($t), $still, 'a worker stands still');

my $answer = send_put($other, "d\n")->receive;

is($answer->{status}, 503, 'others are refused');
is($answer->{headers}{'retry-after'}, 1, 'Retry-After');

kill 'CONT', $still;

my $late = $worker{$still}->receive;

is($late->{status}, 200, 'it goes on, and answers');
is(send_put($other, body('c'))->receive->{status}, 200, 'others write');
is(get('vip')->{body}, body('c'), 'the last one is the list');
disarm($t);

record('Lists', 'a worker that has the lock stands still (`list_sync`)',
       'others: 503 with `Retry-After`; once it goes on: 200',
       "others: $answer->{status}"
       . ($answer->{headers}{'retry-after'} ? ' with `Retry-After`' : '')
       . "; once it goes on: $late->{status}");

$t->done;
