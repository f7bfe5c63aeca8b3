#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# A state directory that is gone, cannot be written, or is on a disk that is
# full: writes are refused and change nothing, requests are served, and all is
# as before once the directory is.  And nginx.conf names another user.

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

my $root = $> == 0;

# Disks of its own, which nobody else sees: this very test starts once more,
# in a mount namespace.

if ($root && !$ENV{TEST_GRAY_MOUNTS}
    && (capture('unshare', '-m', 'true'))[0] == 0)
{
    $ENV{TEST_GRAY_MOUNTS} = 1;
    exec 'unshare', '-m', '--propagation', 'private', $^X,
         map({ ('-I', $_) } @INC), $0, @ARGV;
    die "unshare: $!\n";
}

my $mounts = $ENV{TEST_GRAY_MOUNTS};

my $t = Test::Gray->new;
my $state = $t->dir . '/state';
my ($uid, $gid) = (getpwnam 'nobody')[2, 3];
my $scale = $Test::Gray::Process::scale;


sub text {
    my (%option) = @_;

    my $main = $option{main} || '';

    return <<"END";
worker_processes 2;
$main

http {
    gray_zone gray 1m state=state history=1000;

    gray_release app {
        zone gray;
        variant off;
        variant on weight=0%;
        match on \$arg_uid in_list vip;
    }

    server {
        listen 127.0.0.1:%%PORT%% reuseport;
        location = /on { return 200 \$gray_app; }
        location = /pid { return 200 \$pid; }
        location /gray/ { gray_admin; client_max_body_size 30m; }
    }
}
END
}


sub get { return $t->api('GET', '/gray/releases/app')->{json} }
sub seen { return $t->get("/on?uid=$_[0]")->{body} }
sub known { return $t->api('GET', '/gray/status')->{json}{releases}[0] }


sub patch {
    my ($weight) = @_;

    return $t->api('PATCH', '/gray/releases/app',
                   { variants => { on => { weight => $weight } } });
}


sub put {
    my ($body) = @_;

    return $t->api('PUT', '/gray/lists/vip', $body,
                   'Content-Type' => 'text/plain');
}


sub last_record {
    my ($file) = @_;

    my @records = journal_records(slurp($file || "$state/app.jsonl"));

    return { revision => 0 } if grep { !defined } @records;
    return $records[-1] || { revision => 0 };
}


# what the directory has while "code" was called and "back" not yet

sub fault {
    my ($what, $code, $back, %option) = @_;

    like(put("u1\n")->{status}, qr/^20[01]$/, "$what: a list");
    is(patch(10 + int rand 80)->{status}, 200, 'a release');

    # a worker that has not read the list yet could not do so then

    my %worker = %{ $t->each_worker('/pid') };

    ok(wait_until(sub {
        !grep { $_->get('/on?uid=u1')->{body} ne 'on' } values %worker;
    }), 'it is in force');

    $option{before}->() if $option{before};

    my @before = (get(), seen('u1'));
    my $revision = $before[0]{revision};
    my $kept = $option{kept} || $state;
    my $files = files($state);

    $code->();

    my @wrong;

    # the same worker, another one, and the same again

    for my $write (sub { patch(99) }, sub { patch(98) },
                   sub { $t->api('DELETE', '/gray/releases/app') },
                   sub { $t->api('POST', '/gray/releases/app/revert',
                                 { revision => $revision - 1 }) },
                   $option{lists} ? sub { put("u2\n") } : ())
    {
        my $since = Time::HiRes::time();
        my $answer = $write->();
        my $took = Time::HiRes::time() - $since;

        is($answer->{status}, 503, "$what: a write") or diag($answer->{body});
        push @wrong, "a write: $answer->{status}" if $answer->{status} != 503;

        like($answer->{json}{detail},
             qr/$option{detail}|^the journal of the release cannot be read/,
             'detail');
        is($answer->{headers}{'retry-after'}, 1, 'Retry-After');
        cmp_ok($took, '<', 2 * $scale, 'at once');
    }

    is_deeply([ get(), seen('u1') ], \@before, 'nothing has changed');
    push @wrong, 'something has changed'
        if get()->{revision} != $before[0]{revision} || seen('u1') ne 'on';

    is(scalar(grep { $_->{body} !~ /^o/ || $_->{status} != 200 }
              $t->many(200, sub { "/on?uid=u$_[0]" })), 0,
       'requests are served');
    like(known()->{journal}, $option{status} || qr/^(?!ok$)/, 'status');
    ok($t->wait_log(qr/\[error\] .*\Q$state\E.*(?:failed|cannot be locked)/),
       'log')
        or diag($t->log);

    # a worker that dies meanwhile is replaced, and has all that is in force

    $t->kill_worker('KILL', $_) for ($t->workers)[0];
    is_deeply(get(), $before[0], 'a new worker has what is in force');

    if ($option{reload}) {
        ok($t->reload(gone => 1), 'nginx reloads');
        is_deeply(get(), $before[0], 'with what is in force');
    }

    is_deeply(files($kept), $files, 'no file has changed');

    $back->();

    my $answer;

    ok(wait_until(sub { $answer = patch(97); $answer->{status} == 200 }, 5),
       'it is back: it can be changed')
        or diag($answer->{body});
    is($answer->{json}{revision}, $revision + 1, 'to the next revision');
    is(last_record()->{revision}, $revision + 1, 'in the file');
    is(known()->{journal}, 'ok', 'status');
    ok(wait_until(sub { put("u1\nu3\n")->{status} =~ /^20[01]$/ }), 'a list');
    ok(wait_until(sub { seen('u3') eq 'on' }), 'is in force');

    push @wrong, "once it is back: $answer->{status}"
        if $answer->{status} != 200;

    # and all that was answered is there after the worst

    $t->crash;
    $t->start;
    is(get()->{revision}, $revision + 1, 'after a crash');
    is(get()->{variants}{on}{weight}, 97, 'as it was');

    record('The state directory', $what,
           'writes: 503, nothing is changed, requests are served; once it is '
           . 'back, all goes on',
           @wrong ? join('; ', @wrong) : 'the same');

    return;
}


# journals and lists that are there, with their bytes

sub files {
    my ($dir) = @_;

    return { map { s{.*/}{}r => slurp($_) } glob "$dir/*.jsonl $dir/*.list" };
}

$t->config(text())->start;


# -- gone, or not to be written

my $away = $t->dir . '/away';

fault('removed',
      sub { rename $state, $away or die "state: $!\n" },
      sub { rename $away, $state or die "away: $!\n" },
      kept => $away, lists => 1,
      detail => qr/nothing was changed: .*No such file or directory$/);

# nginx makes it anew when it reloads, or when it starts

{
    my $revision = patch(51)->{json}{revision};

    ok($revision, 'removed for good: before');
    rename $state, $away or die "state: $!\n";
    is(patch(52)->{status}, 503, 'a write');

    ok($t->reload(gone => 1), 'nginx reloads');
    ok(-d $state, 'and has made it');

    my $answer = patch(53);

    is($answer->{status}, 200, 'a write') or diag($answer->{body});
    is($answer->{json}{revision}, $revision + 1, 'the next revision');
    is(last_record()->{document}{variants}{on}{weight}, 53, 'in the file');

    record('The state directory', 'removed, and nginx reloads',
           'the directory is made, with what is in force',
           $answer->{status} == 200 && last_record()->{revision}
           ? 'the same' : 'not so');

    system 'rm', '-rf', $away;
}

fault('mode 000',
      sub { chmod 0, $state },
      sub { chmod 0700, $state },
      kept => $state, lists => 1,
      detail => qr/nothing was changed: .*Permission denied$/);

# journals are appended to, so that a new file is what cannot be made

SKIP: {
    skip('not as root', 1) unless $root;

    fault('given to another user',
          sub { chown 0, 0, $state },
          sub { chown $uid, $gid, $state },
          lists => 1,
          detail => qr/nothing was changed: .*Permission denied$/);
}

fault('replaced by a file',
      sub { rename $state, $away; $t->write_file('state', "no directory\n") },
      sub { unlink $state; rename $away, $state or die "away: $!\n" },
      kept => $away, lists => 1,
      detail => qr/nothing was changed: .*Not a directory$/);


# -- by a symlink, to another directory: that has no journal, and gets one

{
    my $other = $t->dir . '/other';
    my $revision = patch(41)->{json}{revision};
    my $files;

    mkdir $other;
    chown $uid, $gid, $other if $root;

    rename $state, $away or die "state: $!\n";
    symlink $other, $state or die "state: $!\n";
    $files = files($away);

    ok(wait_until(sub { last_record("$other/app.jsonl")->{revision}
                        == $revision }, 5 * $scale),
       'a symlink to another directory: has what is in force');

    my $answer = patch(42);

    is($answer->{status}, 200, 'a write') or diag($answer->{body});
    is($answer->{json}{revision}, $revision + 1, 'the next revision');
    is(last_record("$other/app.jsonl")->{revision}, $revision + 1,
       'is in that directory');
    is_deeply(files($away), $files, 'and the one before is as it was');

    unlink $state;
    rename $away, $state or die "away: $!\n";

    ok(wait_until(sub { last_record()->{revision} == $revision + 1 },
                  5 * $scale),
       'the one before is back: it gets what is in force');
    $answer = patch(43);
    is($answer->{json}{revision}, $revision + 2, 'and the next one');

    record('The state directory', 'replaced by a symlink to another directory',
           'what is in force is written there, and goes on; back again, too',
           $answer->{status} == 200 && last_record()->{revision}
           == $revision + 2 ? 'the same' : 'not so');
}


# -- the lock

for my $case ([ 'the lock file is removed', sub { unlink "$state/.lock" } ],
              [ 'the lock file is replaced',
                sub { $t->write_file('state/.lock', '');
                      $t->write_file('state/new', '');
                      chown $uid, $gid, "$state/new" if $root;
                      rename "$state/new", "$state/.lock" } ])
{
    my ($what, $code) = @$case;

    is(patch(30)->{status}, 200, "$what: before");
    $code->();

    my $revision = get()->{revision};
    my @pids = map {
        my $client = $_;
        $t->child(sub {
            my @made;

            for my $round (1 .. 10) {
                my $answer = patch(1 + ($client * 10 + $round) % 90);
                push @made, $answer->{json}{revision}
                    if $answer->{status} == 200;
            }

            $t->write_file("made.$client", "@made.");
            POSIX::_exit(0);
        });
    } 1, 2;

    wait_until(sub { 2 == grep { -s $t->dir . "/made.$_" } 1, 2 });
    $t->reap($_) for @pids;

    my @made = map { split ' ', $t->read_file("made.$_") =~ s/\.//r } 1, 2;
    my %made = map { $_ => 1 } @made;
    my @records = journal_records(slurp("$state/app.jsonl"));
    my %written = map { $_->{revision} => 1 } grep { defined } @records;

    is(scalar(keys %made), scalar(@made), 'each write is a revision');
    is(scalar(grep { !$written{$_} } @made), 0, 'in the file');
    is(scalar(grep { !defined } @records), 0, 'which has no torn line');
    is(get()->{revision}, last_record()->{revision}, 'the last is in force');

    unlink $t->dir . "/made.$_" for 1, 2;

    record('The state directory', "$what while two write",
           'each 200 is a line of its own',
           @made == keys %made && !grep({ !$written{$_} } @made)
           ? 'the same' : 'not so');
}

SKIP: {
    skip('not as root', 1) unless $root;

    fault('the lock file is a directory',
          sub { unlink "$state/.lock"; mkdir "$state/.lock" },
          sub { rmdir "$state/.lock" },
          detail => qr/nothing was changed: the lock: Is a directory$/);
}


# -- descriptors

{
    $t->config(text(main => 'worker_rlimit_nofile 64;'));
    $t->stop;
    $t->start;

    my $revision = patch(20)->{json}{revision};
    my @held;
    my $answer;

    # all that workers may have; what was accepted is answered

    my $first = $t->http->connect;

    $first->get('/on');

    # and not only for a moment, as those who look after journals open some

    my $times = 0;

    my $full = wait_until(sub {
        push @held, $t->http->connect for 1 .. 10;

        $times = 0
            if 2 != grep { 64 <= (() = glob "/proc/$_/fd/*") } $t->workers;
        return ++$times == 10;
    });

    ok($full, 'all descriptors are in use');

    my $written = $first->send(Test::Gray::HTTP::request_text('PATCH',
        '/gray/releases/app', [ 'Content-Type' => 'application/json' ],
        '{"variants":{"on":{"weight":21}}}'))->receive('PATCH');

    undef @held;
    undef $first;

    is($written->{status}, 503, 'no descriptor is left: 503')
        or diag($written->{body});
    like($written->{body}, qr/nothing was changed: .*Too many open files/,
         'detail');
    is(get()->{revision}, $revision, 'nothing was changed');
    ok(wait_until(sub { ($answer = patch(22))->{status} == 200 }, 10),
       'there are some again: it can be changed');
    is(last_record()->{revision}, $answer->{json}{revision}, 'in the file');

    record('The state directory', 'no descriptor is left '
           . '(`worker_rlimit_nofile`): EMFILE',
           'writes: 503, nothing is changed; then all goes on',
           $written->{status} == 503 && $answer->{status} == 200
           ? 'the same' : 'not so');

    $t->expect(qr/accept4?\(\) failed \(24/, qr/socket\(\) failed \(24/,
               qr/open\(\) .* failed \(24/);

    $t->config(text());
    ok($t->reload(gone => 1), 'as before');
}


# -- disks

SKIP: {
    skip('no mounts here', 1) unless $mounts;

    # on another one than before, as if it was not mounted first

    my $revision = patch(11)->{json}{revision};

    system('mount', '-t', 'tmpfs', '-o', "size=64k,uid=$uid,gid=$gid,mode=700",
           'tmpfs', $state) == 0 or die "mount failed\n";

    ok(wait_until(sub { last_record()->{revision} == $revision }, 5 * $scale),
       'another disk is mounted there: it gets what is in force');
    is(patch(12)->{json}{revision}, $revision + 1, 'and the next revision');
    record('The state directory', 'another, empty file system is mounted there',
           'what is in force is written there, and goes on',
           last_record()->{revision} == $revision + 1 ? 'the same' : 'not so');

    # what is left of the page that the journal ends in has room still

    fault('the disk is full (ENOSPC)', sub { }, sub { unlink "$state/filler" },
          before => sub {
              open my $fh, '>', "$state/filler" or die "filler: $!\n";
              1 while syswrite $fh, 'x' x 512;
              close $fh;

              my $round = 0;

              1 while patch(60 + $round++ % 20)->{status} == 200;
          },
          lists => 1,
          detail => qr/nothing was changed: .*No space left on device$/);

    # that cannot be while a file is open to be written, as the lock is: by
    # another mount, which has the same files

    fault('mounted read-only (EROFS)',
          sub {
              system('mount', '--bind', $state, $state) == 0
                  && system('mount', '-o', 'remount,bind,ro', $state) == 0
                  or die "mount failed\n";
          },
          sub { system('umount', '-l', $state) == 0 or die "umount failed\n" },
          lists => 1,
          detail => qr/nothing was changed: .*Read-only file system$/);

    # what is below has older revisions: the live one is written there

    $revision = patch(13)->{json}{revision};
    system('umount', '-l', $state) == 0 or die "umount failed\n";

    ok(wait_until(sub { last_record()->{revision} == $revision }, 5 * $scale),
       'the disk is gone: the directory below gets what is in force');

    # unless those who look after it are at it just now

    my $next;

    ok(wait_until(sub {
           $next = patch(14);
           return $next->{status} == 200;
       }), 'it can be written');
    is($next->{json}{revision}, $revision + 1, 'and has the next revision');
    record('The state directory', 'its file system is unmounted, and the '
           . 'directory below has older revisions',
           'what is in force is written there, and goes on',
           last_record()->{revision} == $revision + 1 ? 'the same' : 'not so');
}


# -- another user

SKIP: {
    my ($other) = grep { getpwnam $_ } qw(daemon bin www-data mail);

    skip('no other user', 1) unless $root && $other;

    my $other_uid = getpwnam $other;
    my $to = "user $other " . getgrgid((getpwnam $other)[3]) . ';';

    is(put("u1\n")->{status}, 200, 'another user: before');
    is(patch(71)->{status}, 200, 'a release');

    my $revision = get()->{revision};
    my $etag = $t->get('/gray/lists/vip')->{headers}{etag};

    $t->config(text(main => $to));
    ok($t->reload(gone => 1), 'another user in nginx.conf: reload');

    my @written = (patch(72), put("u2\n"), put("u3\n"));

    is($written[0]{status}, 200, 'a release can be changed')
        or diag($written[0]{body});
    is($written[0]{json}{revision}, $revision + 1, 'to the next revision');
    is($written[1]{status}, 200, 'a list, too') or diag($written[1]{body});
    is(seen('u3'), 'on', 'is in force');
    is_deeply([ map { (stat $_)[4] } glob "$state/*.jsonl $state/*.list "
                                          . "$state/.lock "
                                          . "$state/.lists.lock" ],
              [ ($other_uid) x 4 ], 'all files are its');
    is(scalar(grep { (stat $_)[2] & 077 } glob "$state/*.jsonl"),
       0, 'and nobody else reads journals');

    # back again, by a restart

    $t->config(text());
    $t->stop;
    $t->start;

    is(get()->{revision}, $revision + 1, 'and back, by a restart');
    push @written, patch(73), put("u4\n");
    is($written[3]{status}, 200, 'a release can be changed')
        or diag($written[3]{body});
    is($written[4]{status}, 200, 'a list, too') or diag($written[4]{body});
    is(known()->{journal}, 'ok', 'status');

    record('The state directory', 'nginx.conf names another `user`, by a '
           . 'reload and by a restart',
           'the files are given to that user: releases and lists can be '
           . 'changed',
           grep({ $_->{status} != 200 } @written) ? 'not so' : 'the same');
}

$t->done;
