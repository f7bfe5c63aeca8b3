#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Lists outlive processes: restarts, reloads with another size of the zone,
# workers that are killed while they write; and what cannot be written changes
# nothing.

use strict;
use warnings;

use Fcntl;
use FindBin;
use Test::More;
use Time::HiRes;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Process;

my $t = Test::Gray->new;
my $state = $t->dir . '/state';

# a round that kills is slow where nginx is

my $rounds = $ENV{TEST_NGINX_WRAPPER} ? 3 : $ENV{TEST_SANITIZER_LOG} ? 8 : 20;


sub text {
    my ($size) = @_;

    return <<"END";
worker_processes 2;

http {
    gray_zone gray $size state=state;

    server {
        listen 127.0.0.1:%%PORT%%;
        location /gray/ { gray_admin; client_max_body_size 30m; }
    }
}
END
}


sub put {
    my ($name, $body) = @_;

    return $t->api('PUT', "/gray/lists/$name", $body,
                   'Content-Type' => 'text/plain');
}


sub get { return $t->get("/gray/lists/$_[0]") }
sub temporary { return grep { !/\.lock$/ } glob "$state/.[!.]*" }
sub zone { return $t->api('GET', '/gray/status')->{json}{zones}[0] }


# what a body makes: a number of lines that all say which body it is

sub body {
    my ($id, $count) = @_;

    return join '', map { "$id-$_\n" } 1 .. $count;
}


# -- a mere test of the configuration makes the directory only

is(($t->test_config(text('1m')))[0], 0, 'nginx -t');
is_deeply([ glob("$state/*"), temporary() ], [], 'has written nothing');


# -- restart, crash, reload

$t->config(text('1m'))->start;

is(put('vip', "a\n")->{status}, 201, 'a list');
is(put('vip', "b\n")->{status}, 200, 'its second revision');
is(put('gone', "b\n")->{status}, 201, 'another list');
is($t->api('DELETE', '/gray/lists/gone')->{status}, 200, 'that is deleted');

for ([ restart => sub { $t->stop; $t->start } ],
     [ crash   => sub { $t->crash; $t->start } ],
     [ reload  => sub { $t->reload(gone => 1) } ],
     [ resize  => sub { $t->config(text('2m')); $t->reload(gone => 1) } ],
     [ kill    => sub { $t->kill_worker for 1, 2 } ])
{
    my ($name, $code) = @$_;

    $code->();
    is(get('vip')->{body}, "b\n", $name);
    is(get('vip')->{headers}{etag}, '"2"', "$name: revision");
    is(get('gone')->{status}, 404, "$name: what was deleted");
}

is(put('gone', "b\n")->{json}{revision}, 3,
   'the revision goes on from what was deleted');


# -- a body that is still on its way while the zone gets another size

my $connection = $t->http->connect;
my $slow = body('slow', 10000);

$connection->send("PUT /gray/lists/vip HTTP/1.1\r\nHost: localhost\r\n"
                  . "Content-Type: text/plain\r\nConnection: close\r\n"
                  . "Expect: 100-continue\r\n"
                  . 'Content-Length: ' . length($slow) . "\r\n\r\n");

# until nginx reads the body, the connection is an idle one

like($connection->line, qr/ 100 /, 'it waits for the body');
$connection->line;
$connection->send(substr $slow, 0, 5000);

$t->config(text('3m'));
ok($t->reload, 'reload');

$connection->send(substr $slow, 5000);

my $answer = $connection->receive;

is($answer->{status}, 200, 'an old worker writes');
is(get('vip')->{body}, $slow, 'the file is the new one at once');
ok(wait_until(sub {
    my %list = map { $_->{list} => $_->{revision} }
               @{ $t->api('GET', '/gray/lists')->{json}{lists} };
    return $list{vip} == 3;
}), 'the new workers follow');
is(put('vip', "c\n")->{json}{revision}, 4, 'and go on from there');


# -- two workers at once

my @pids;

for my $client (1 .. 6) {
    push @pids, $t->child(sub {
        my @made;

        for my $round (1 .. 10) {
            my $answer = $t->insist('PUT', '/gray/lists/both',
                                    "$client $round\n",
                                    'Content-Type' => 'text/plain');
            push @made, "$answer->{status} "
                        . ($answer->{json}{revision} || 0)
                        . " $client $round\n";
        }

        $t->write_file("made.$client", join '', @made);
        POSIX::_exit(0);
    });
}

wait_until(sub { 6 == grep { -s $t->dir . "/made.$_" } 1 .. 6 });
$t->reap($_) for @pids;

my %made = map { my ($status, $revision, $text) = split ' ', $_, 3;
                 ($revision => "$status $text") }
           map { split /^/, $t->read_file("made.$_") } 1 .. 6;

is_deeply([ sort { $a <=> $b } keys %made ], [ 1 .. 60 ],
          'each write has a revision of its own');
is(scalar(grep { !/^20[01] / } values %made), 0, 'all were answered');
is("200 " . get('both')->{body}, $made{60}, 'the last one is the list');


# -- a worker is killed while it writes

my ($whole, $torn, $lost) = (0, 0, 0);
my $revision = put('killed', body(0, 50000))->{json}{revision};
my $last = body(0, 50000);

for my $round (1 .. $rounds) {
    my $next = body($round, 50000);

    my $child = $t->child(sub {
        my $answer = put('killed', $next);
        $t->write_file("answer.$round", "$answer->{status}\n");
        POSIX::_exit(0);
    });

    # from before the body has come to behind the answer; there is nothing
    # that could be waited for in between

    Time::HiRes::sleep($round * 0.08 / $rounds * $Test::Gray::Process::scale);

    $t->kill_worker('KILL', $_) for $t->workers;

    wait_until(sub { -s $t->dir . "/answer.$round" });
    $t->reap($child);

    my $answered = $t->read_file("answer.$round") =~ /^200/;
    my $now = get('killed');
    my ($tag) = $now->{headers}{etag} =~ /(\d+)/;

    $whole++ if $now->{body} eq $next;
    $torn++ if $now->{body} ne $next && $now->{body} ne $last;
    $torn++ if $tag != $revision + ($now->{body} eq $next);
    $lost++ if $answered && $now->{body} ne $next;

    ($last, $revision) = ($now->{body}, $tag);
}

is($torn, 0, "$rounds times killed, the list is the old one or the new one");
is($lost, 0, 'and what was answered is there');
note("the new one: $whole times");

is(put('killed', "a\n")->{json}{revision}, $revision + 1, 'it goes on');
ok(wait_until(sub { !temporary() }), 'what was not finished is removed')
    or diag(temporary());


# -- what an editor or a disk does to a file

chmod 0644, "$state/vip.list";
$t->write_file('state/vip.list', 'x' x 1000);
$t->write_file('state/other.list', '');
$t->write_file('state/README', 'no list');

ok($t->wait_log(qr/vip\.list" is no list, is damaged/), 'a log line');
is(get('vip')->{status}, 503, 'GET');
is(put('vip', "a\n")->{status}, 503, 'PUT');

ok(wait_until(sub { "@{ zone()->{damaged_lists} }" =~ /vip/ }), 'status');
is($t->read_file('state/vip.list'), 'x' x 1000, 'it is left alone');

$t->stop;
$t->start;
is(get('both')->{status}, 200, 'nginx starts with it');
is_deeply([ sort @{ zone()->{damaged_lists} } ], [ 'other', 'vip' ],
          'status, after a restart');

unlink "$state/vip.list", "$state/other.list";
ok(wait_until(sub { !@{ zone()->{damaged_lists} } }), 'it was moved away');
is(put('vip', "a\n")->{status}, 201, 'PUT works again');


# -- a directory that cannot be written, a lock that is held

SKIP: {
    my $user = (stat $state)[4];

    skip('no directory of its own', 4) if $user != ($> || (getpwnam 'nobody')[2]);

    chmod 0500, $state;
    $answer = put('vip', "b\n");
    chmod 0700, $state;

    is($answer->{status}, 503, 'not to be written');
    like($answer->{json}{detail}, qr/nothing was changed: .*Permission denied/,
         'detail');
    is($answer->{headers}{'retry-after'}, 1, 'Retry-After');
    is(get('vip')->{body}, "a\n", 'nothing was changed');
}

open my $lock, '+<', "$state/.lists.lock" or die "lock: $!\n";
my $range = pack('s s x4 q q i x4', F_WRLCK, 0, 0, 0, 0);
fcntl $lock, F_SETLK, $range or die "fcntl: $!\n";

$answer = put('vip', "b\n");
is($answer->{status}, 503, 'locked');
like($answer->{json}{detail}, qr/another process writes lists/, 'detail');
is(get('vip')->{body}, "a\n", 'nothing was changed');

my $child = $t->child(sub {
    my $answer = put('vip', "b\n");
    $t->write_file('unlocked', "$answer->{status}\n");
    POSIX::_exit(0);
});

ok(wait_until(sub { grep { /vip\.list/ } temporary() }), 'one waits');
close $lock;
ok(wait_until(sub { -s $t->dir . '/unlocked' }), 'and is answered');
$t->reap($child);
is(get('vip')->{body}, "b\n", 'once the lock is free');


# -- clients that go

for my $part (0, 10, length($slow) - 1, length $slow) {
    my $connection = $t->http->connect;

    $connection->send("PUT /gray/lists/left HTTP/1.1\r\nHost: localhost\r\n"
                      . "Content-Type: text/plain\r\n"
                      . 'Content-Length: ' . length($slow) . "\r\n\r\n"
                      . substr $slow, 0, $part);
    close $connection->{socket};
}

ok(wait_until(sub { get('left')->{status} == 200 && !temporary() }),
   'a body that was sent as a whole is taken');
is(get('left')->{body}, $slow, 'and no other');

$t->done;
