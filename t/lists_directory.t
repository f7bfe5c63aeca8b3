#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# A state directory that other hands change: backups that are put back, a
# directory in the place of another one, one directory under two names, links;
# and more lists than a zone has room for.

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


sub text {
    my ($size) = @_;

    return <<"END";
worker_processes 1;

http {
    gray_zone gray $size state=state;
    gray_zone again 1m state=link;

    gray_release app { zone gray; variant off; variant on weight=0%; }

    server {
        listen 127.0.0.1:%%PORT%%;

        location /gray/ { gray_admin; }

        # the decision waits for the body

        location /on   { proxy_pass http://127.0.0.1:%%PORT%%/said;
                         proxy_set_header X-Variant \$gray_app;
                         proxy_http_version 1.1; }
        location /said { return 200 "\$http_x_variant"; }
    }
}
END
}


sub put {
    my ($name, $body, $zone) = @_;

    return $t->api('PUT', "/gray/lists/$name?zone=" . ($zone || 'gray'),
                   $body, 'Content-Type' => 'text/plain');
}


sub get { return $t->get("/gray/lists/$_[0]?zone=gray") }
sub decided { return $t->get("/on?uid=$_[0]")->{body} }


# a lock of the kind that another process would have

sub locked {
    my ($file, $code) = @_;

    open my $lock, '+<', $file or return "$file: $!";
    my $range = pack('s s x4 q q i x4', F_WRLCK, 0, 0, 0, 0);
    fcntl $lock, F_SETLK, $range or die "fcntl: $!\n";

    return $code->();
}


mkdir $state or die "mkdir: $!\n";
chown((getpwnam('nobody'))[2, 3], $state) if $> == 0;
symlink $state, $t->dir . '/link' or die "symlink: $!\n";

$t->config(text('1m'))->start;


# -- an older revision is put back, and then its entries are put

put('vip', "a\n");
is($t->api('PATCH', '/gray/releases/app',
           { rules => [ { variant => 'on',
                          when => { '$arg_uid' => { in_list => 'vip' } } } ]
           })->{status}, 200, 'a rule');

my $backup = $t->read_file('state/vip.list');

put('vip', "b\n");
is(decided('b'), 'on', 'the second revision');

$t->write_file('backup', $backup);
rename $t->dir . '/backup', "$state/vip.list" or die "rename: $!\n";

is(get('vip')->{status}, 503, 'GET does not give what is not in force');
is(decided('a') . decided('b'), 'offon', 'which it is not');

my $answer = put('vip', "a\n");

is("$answer->{status} $answer->{json}{revision}", '200 3',
   'what only an older file has is a new revision');
is(get('vip')->{body}, "a\n", 'GET gives that');
is(decided('a') . decided('b'), 'onoff', 'and is in force');


# -- a file is taken away: what is mapped serves

rename "$state/vip.list", $t->dir . '/away' or die "rename: $!\n";
is(get('vip')->{status}, 503, 'GET');
is(decided('a'), 'on', 'what it was is in force');
rename $t->dir . '/away', "$state/vip.list" or die "rename: $!\n";
is(get('vip')->{status}, 200, 'it is there again');


# -- the directory is replaced by a copy

is(system('cp', '-a', $state, "$state.copy"), 0, 'a copy');
rename $state, "$state.old" or die "rename: $!\n";
rename "$state.copy", $state or die "rename: $!\n";

is(locked("$state/.lists.lock", sub { put('vip', "c\n")->{status} }), 503,
   'the lock is that of the directory as it is now');
is(put('vip', "c\n")->{status}, 200, 'once it is free');

unlink "$state/.lists.lock" or die "unlink: $!\n";
is(put('vip', "d\n")->{status}, 200, 'the lock file was removed');
is(locked("$state/.lists.lock", sub { put('vip', "e\n")->{status} }), 503,
   'it is there again');


# -- two zones have the directory, by different names

my @pids;

for my $client (1 .. 6) {
    push @pids, $t->child(sub {
        my @made = map { put('both', "$client $_\n",
                             $client % 2 ? 'gray' : 'again') } 1 .. 20;

        $t->write_file("made.$client",
                       join '', map { ($_->{json}{revision} || 0) . "\n" }
                                @made);
        POSIX::_exit(0);
    });
}

wait_until(sub { 6 == grep { -s $t->dir . "/made.$_" } 1 .. 6 });
$t->reap($_) for @pids;

is_deeply([ sort { $a <=> $b } map { split ' ', $t->read_file("made.$_") }
                               1 .. 6 ],
          [ 1 .. 120 ], 'each write has a revision of its own');


# -- links and what is no file

symlink '/etc/passwd', "$state/passwd.list";
symlink '.lists.lock', "$state/lock.list";
mkdir "$state/directory.list";

for my $name (qw(passwd lock directory)) {
    is(get($name)->{status}, 503, "$name: GET");
    is(put($name, "a\n")->{status}, 503, "$name: PUT");
}

unlink "$state/passwd.list", "$state/lock.list";
rmdir "$state/directory.list";

unlink "$state/.lists.lock";
symlink $t->dir . '/elsewhere', "$state/.lists.lock";
is(put('vip', "f\n")->{status}, 503, 'a lock file that is a link');
ok(!-e $t->dir . '/elsewhere', 'is not followed');
unlink "$state/.lists.lock";
is(put('vip', "f\n")->{status}, 200, 'once it is none');


# -- a worker that is about to end follows the new ones, in another zone

is(decided('f'), 'on', 'what is in force');

my @slow = map {
    my $connection = $t->http->connect;

    $connection->send("POST /on?uid=late HTTP/1.1\r\nHost: localhost\r\n"
                      . "Expect: 100-continue\r\nConnection: close\r\n"
                      . "Content-Length: 10\r\n\r\n");
    $connection->line;
    $connection->line;
    $connection;
} 1 .. 60;

$t->config(text('2m'));
ok($t->reload, 'reload');
is(put('vip', "late\n")->{status}, 200, 'a list, for the new workers');

my ($late, $next) = ('', 0);

ok(wait_until(sub {
    return 0 if Time::HiRes::time() < $next;
    $next = Time::HiRes::time() + 0.1;

    my $connection = shift @slow or return 0;
    $connection->send('0123456789');
    $late = $connection->receive->{body};
    return $late eq 'on';
}), 'the old worker has followed');

@slow = ();


# -- one list too many, of which there was one that was deleted

put('gone', "a\n");
$t->api('DELETE', '/gray/lists/gone?zone=gray');
$t->stop;
$t->start;

my $there = @{ $t->api('GET', '/gray/lists?zone=gray')->{json}{lists} };

is(put("l$_", "a\n")->{status}, 201, "list $_") for $there + 1 .. 64;
is(put('one_more', "a\n")->{status}, 409, 'one too many');
is(put('gone', "a\n")->{status}, 409, 'one that was deleted before, likewise');

$t->done;
