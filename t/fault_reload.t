#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# Reloads and restarts with another nginx.conf, where zones have a state
# directory: what is live stays live, no number of a revision is used twice,
# and what is refused has changed nothing, be it in memory or in files.

use strict;
use warnings;

use FindBin;
use IO::Socket::INET;
use JSON::PP ();
use Test::More;
use Time::HiRes;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Fault;
use Test::Gray::Record;
use Test::Gray::Process;

my $t = Test::Gray->new;
my ($uid, $gid) = (getpwnam 'nobody')[2, 3];

# two zones, with what is said behind their names, and where releases are

my %zone = (gray => '2m state=state', second => '2m');
my %in = (app => 'gray', other => 'gray');
my %weight;
my $more = '';


sub text {
    my $zones = join '', map { "gray_zone $_ $zone{$_};\n" } sort keys %zone;

    my $releases = join '',
        map { "gray_release $_ { zone $in{$_}; hash \$arg_uid; variant stable;"
              . ' variant canary weight=' . ($weight{$_} || 10) . "%; }\n" }
        sort keys %in;

    return <<"END";
worker_processes 2;

http {
    $zones
    $releases
    server {
        listen 127.0.0.1:%%PORT%%;
        $more
        location = /pid { return 200 \$pid; }
        location = /app { return 200 \$gray_app; }
        location /gray/ { gray_admin; }
    }
}
END
}


sub conf { $t->config(text()) }


sub reload {
    my ($title) = @_;

    conf();
    ok($t->reload(gone => 1), $title);
}


sub restart {
    my ($title) = @_;

    $t->stop;
    conf();
    $t->start;
    pass($title);
}


sub get { return $t->api('GET', "/gray/releases/$_[0]")->{json} }


sub patch {
    my ($name, $weight) = @_;

    my $answer = $t->insist('PATCH', "/gray/releases/$name",
                            { variants => { canary => {
                                                weight => $weight } } });

    return $answer->{status} == 200 ? $answer->{json}{revision}
                                    : "$answer->{status} $answer->{body}";
}


# "revision origin weight"

sub live {
    my ($name) = @_;

    my $doc = get($name);

    return "$doc->{revision} $doc->{origin} "
           . $doc->{variants}{canary}{weight};
}


# the same of the last record in a file

sub in_file {
    my ($file) = @_;

    my @records = journal_records(slurp($t->dir . "/$file.jsonl"));

    return 'nothing' unless @records;
    return 'damage' if grep { !defined } @records;

    my $last = $records[-1];

    return "$last->{revision} $last->{origin} "
           . $last->{document}{variants}{canary}{weight};
}


sub revisions {
    my ($file) = @_;

    return map { $_->{revision} }
           journal_records(slurp($t->dir . "/$file.jsonl"));
}


sub alike {
    my ($name, $file, $expected, $title) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is(live($name), $expected, "$title: live");
    is(in_file($file), $expected, "$title: in the file");

    return live($name) eq $expected && in_file($file) eq $expected;
}


sub doc {
    my ($weight) = @_;

    return '{"enabled":true,"baseline":"stable","salt":"app","hash":'
           . '["$arg_uid"],"variants":{"stable":{},"canary":{"weight":'
           . "$weight}},\"rules\":[],\"allocation\":{\"canary\":[[0,"
           . "${weight}0000]]}}";
}


# a journal of somebody else

sub foreign {
    my ($file, @revisions) = @_;

    my ($dir) = $file =~ m{(.*)/};

    mkdir $t->dir . "/$dir";
    $t->write_file("$file.jsonl",
                   join '', map { journal_line($_, doc(77)) } @revisions);

    return unless $> == 0;

    chown $uid, $gid, $t->dir . "/$dir", $t->dir . "/$file.jsonl";
    chmod 0600, $t->dir . "/$file.jsonl";

    return;
}


# all that files are, to the nanosecond

sub listing {
    my (@dirs) = @_;

    my %listing;

    for my $path (map { my $dir = $t->dir . "/$_";
                        ($dir, glob("$dir/* $dir/.[!.]*")) } @dirs)
    {
        my @stat = Time::HiRes::stat($path);

        $listing{$path} = join ' ', @stat[1, 2, 3, 4, 5, 7, 9, 10],
                                    -f $path ? slurp($path) : '';
    }

    return \%listing;
}


# what can be seen of the memory; room that was taken for what did not come
# stays taken

sub memory {
    my $status = $t->api('GET', '/gray/status')->{json};

    delete $_->{free} for @{ $status->{zones} };

    return { zones => $status->{zones},
             map { $_->{release} => get($_->{release}) }
             @{ $status->{releases} } };
}


sub row {
    my ($what, $expected, $good) = @_;

    record('Reloads and restarts with a state directory', $what, $expected,
           $good ? 'the same' : 'not so');

    return;
}


conf();
$t->start;

is(patch('app', 20), 2, 'changed');
is(patch('app', 30), 3, 'changed again');

my @good;


# -- the size of the zone

for my $size ('4m', '1m', '2m') {
    my $records = revisions('state/app');

    $zone{gray} = "$size state=state";
    reload("a zone of $size");

    push @good, alike('app', 'state/app', live('app'), $size);
    is(scalar(my @now = revisions('state/app')), $records,
       'nothing was written for that');
    push @good, patch('app', 40) == $records + 1
                && patch('app', 30) == $records + 2;
    alike('app', 'state/app', $records + 2 . ' api 30', 'it goes on');
}

row('the zone becomes larger or smaller', 'what is live stays, and goes on',
    !grep { !$_ } @good);


# -- a write that is on its way meanwhile

{
    my $connection = $t->http->connect;
    my $body = '{"variants":{"canary":{"weight":66}}}';

    $connection->get('/pid');
    $connection->send("PATCH /gray/releases/app HTTP/1.1\r\nHost: localhost\r\n"
                      . "Content-Type: application/json\r\n"
                      . 'Content-Length: ' . length($body) . "\r\n\r\n"
                      . substr $body, 0, 10);

    # the worker has it: another one behind it was served

    $t->get('/pid') for 1 .. 4;

    my $before = live('app');

    $zone{gray} = '4m state=state';
    conf();
    ok($t->reload, 'another size, while a body is sent');
    $connection->send(substr $body, 10);

    my $answer = $connection->receive('PATCH');

    is($answer->{status}, 503, 'an old worker refuses it');
    alike('app', 'state/app', $before, 'nothing was changed');
    row('a body is on its way while the zone gets another size',
        '503 by the old worker, nothing is changed',
        $answer->{status} == 503 && live('app') eq $before);
}


# -- documents that do not fit

{
    is($t->api('PATCH', '/gray/releases/app',
               { rules => [ { when => { '$arg_x' => 'x' x 3000 },
                              variant => 'canary' } ] })->{status}, 200,
       'a long document');

    journals_rest($t->dir . '/*');

    my $before = [ memory(), listing('state') ];
    my $len = length((slurp($t->dir . '/state/app.jsonl')
                      =~ /"document":(\{.*\})\}\n\z/)[0]);
    my $revision = get('app')->{revision};
    my $message = qr/^gray_zone "gray": release "app" has a live document of $len bytes, revision $revision: document=SIZE must be at least (\d+)k$/;

    $zone{gray} = '2m state=state document=2k';
    conf();
    ok($t->reload(refused => $message), 'a zone of short ones: refused');
    is_deeply([ memory(), listing('state') ], $before,
              'nothing was changed, in memory or in files');

    my ($status, $said) = $t->test_config(text());
    my ($needed) = $said =~ /at least (\d+)k$/m;

    is($status, 1, 'by nginx -t, too');
    ok($needed, 'which says what is needed') or diag($said);

    $zone{gray} = "2m state=state document=${needed}k";
    reload('with that');
    is(get('app')->{revision}, $revision, 'the live document is there');

    row('`document=SIZE` becomes smaller than a live document',
        'refused, with the size that is needed; nothing is changed',
        $needed && get('app')->{revision} == $revision);

    $zone{gray} = '2m state=state';
    is($t->api('PATCH', '/gray/releases/app', { rules => [] })->{status}, 200,
       'a short one');
    reload('as before');
}


# -- releases that come, go, and come back

{
    my $app = live('app');

    $in{new} = 'gray';
    reload('a release comes');
    my $good = alike('new', 'state/new', '1 nginx.conf 10', 'as declared');
    is(patch('new', 55), 2, 'and is changed');

    delete $in{new};
    reload('it goes');
    is(in_file('state/new'), '2 api 55', 'its file stays');

    $in{new} = 'gray';
    reload('it comes back');
    $good &= alike('new', 'state/new', '2 api 55', 'as it was');

    delete $in{new};
    restart('it goes, by a restart');
    is(in_file('state/new'), '2 api 55', 'its file stays');
    $in{new} = 'gray';
    restart('it comes back, by a restart');
    $good &= alike('new', 'state/new', '2 api 55', 'as it was');
    is(patch('new', 56), 3, 'and goes on');

    row('a release is taken out of nginx.conf, and comes back',
        'it is as it was, also after a restart', $good);

    # renamed: another one

    delete $in{new};
    $in{newer} = 'gray';
    reload('it gets another name');
    $good = alike('newer', 'state/newer', '1 nginx.conf 10', 'as declared');
    is(in_file('state/new'), '3 api 56', 'the file of the old name stays');
    row('a release gets another name',
        'it begins as declared, the file of the old name stays',
        $good && in_file('state/new') eq '3 api 56');

    # taken for the new name

    $t->stop;
    rename $t->dir . '/state/new.jsonl', $t->dir . '/state/newer.jsonl';
    $t->start;
    $good = alike('newer', 'state/newer', '3 api 56',
                  'the file is renamed, too');
    row('a release gets another name, and its file, too, while nginx is down',
        'it goes on from there', $good);

    delete $in{newer};
    reload('it goes');
    alike('app', 'state/app', $app, 'the others were left alone');
}


# -- another zone

{
    my $number = patch('app', 31);

    $in{app} = 'second';
    reload('another zone, without a directory');
    is(live('app'), "$number api 31", 'as it was');
    is(patch('app', 32), $number + 1, 'and goes on');
    is(in_file('state/app'), "$number api 31", 'its file does not');

    $in{app} = 'gray';
    reload('and back');
    my $good = alike('app', 'state/app', $number + 1 . ' api 32', 'as it was');
    is(patch('app', 33), $number + 2, 'and goes on');
    row('a release moves to another zone without a directory, and back',
        'what is live stays', $good);

    # with another directory, where an older journal is

    $zone{second} = '2m state=state';

    my ($status, $said) = $t->test_config(text());

    is($status, 1, 'one directory for two zones: refused');
    like($said, qr{^nginx: \[emerg\] the same path name ".*/state" used in }m,
         'message');

    foreign('elsewhere/app', 1 .. 3);
    $zone{second} = '4m state=elsewhere';
    $in{app} = 'second';
    reload('another zone, with another directory');
    $good = alike('app', 'elsewhere/app', $number + 2 . ' api 33',
                  'what is live wins over older revisions there');
    is(patch('app', 34), $number + 3, 'and goes on');
    is(in_file('state/app'), $number + 2 . ' api 33', 'the old file stays');
    row('a release moves to another zone whose directory has older revisions',
        'what is live stays, and is written there', $good);

    # back, where one is that is newer now

    foreign('state/app', 900);
    $in{app} = 'gray';
    reload('back, where a newer one is by now');
    $good = alike('app', 'state/app', '901 api 34',
                  'what is live wins, and is newer than that');
    is_deeply([ revisions('state/app') ], [ 900, 901 ],
              'what was there is kept');
    is(patch('app', 35), 902, 'and goes on');
    row('a release moves to another zone whose directory has newer revisions',
        'what is live stays, and its revision becomes newer', $good);

    restart('a restart');
    alike('app', 'state/app', '902 api 35', 'as it was');
}


# -- another directory

{
    journals_rest($t->dir . '/*');

    my $before = listing('state');

    $zone{second} = '2m';
    $zone{gray} = '2m state=third';
    conf();

    my $dir = $t->dir;
    my $message = qr{^gray_zone "gray" has the state directory "$dir/third" while previously it had "$dir/state": that can be changed together with the size of the zone, or by a restart$};

    ok($t->reload(refused => $message), 'another directory: refused');
    is(live('app'), '902 api 35', 'nothing was changed');
    is_deeply(listing('state'), $before, 'no file either');
    row('another `state` for a zone of the same size', 'refused',
        live('app') eq '902 api 35');

    foreign('third/app', 5000);
    foreign('third/other', 1);
    $zone{gray} = '4m state=third';
    reload('another directory and size');
    my $good = alike('app', 'third/app', '5001 api 35',
                     'what is live wins, and is newer than what is there');
    is(patch('app', 36), 5002, 'and goes on');
    is_deeply({ map { $_ => listing('state')->{$_} } grep { /jsonl/ }
                keys %$before },
              { map { $_ => $before->{$_} } grep { /jsonl/ } keys %$before },
              'files of the old directory stay');

    # of the same revision, and another document

    alike('other', 'third/other', '2 nginx.conf 10',
          'the same number, but another document: newer');
    row('another `state` together with another size, with a journal there',
        'what is live stays, and its revision becomes newer', $good);

    # a restart takes what is there

    $zone{gray} = '4m state=state';
    restart('another directory, by a restart');
    $good = alike('app', 'state/app', '902 api 35', 'what is there serves');
    row('another `state` by a restart', 'what is there serves', $good);
}


# -- state comes and goes

{
    is(patch('app', 41), 903, 'with state');
    journals_rest($t->dir . '/*');

    my $before = listing('state');

    $zone{gray} = '4m';
    reload('no state any more');
    is(live('app'), '903 api 41', 'what is live stays');
    is(patch('app', 42), 904, 'and goes on');
    is($t->api('GET', '/gray/releases/app/history')->{status}, 409,
       'without a history');
    is_deeply({ map { $_ => listing('state')->{$_} } grep { /jsonl/ }
                keys %$before },
              { map { $_ => $before->{$_} } grep { /jsonl/ } keys %$before },
              'no journal is written any more');

    $zone{gray} = '4m state=state';
    reload('state is back');

    my $good = alike('app', 'state/app', '904 api 42', 'what is live stays');

    is(patch('app', 43), 905, 'and goes on');

    # to a zone that never had it, with a newer journal there

    $zone{gray} = '4m';
    restart('no state, by a restart');
    is(live('app'), '1 nginx.conf 10', 'as declared');
    is(patch('app', 44), 2, 'and changed');

    $zone{gray} = '4m state=state';
    reload('state comes');
    $good &= alike('app', 'state/app', '906 api 44',
                   'what is live wins, and is newer than what is there');
    is(patch('app', 45), 907, 'and goes on');
    row('`state` is taken away and given again, by reloads',
        'what is live stays, and its revision becomes newer', $good);
}


# -- nginx.conf declares something else

{
    # "other" was never changed at run time

    my $was = get('other')->{revision};

    $weight{$_} = 15 for qw(app other);
    reload('another declaration');
    my $good = alike('other', 'state/other', $was + 1 . ' nginx.conf 15',
                     'what nobody changed takes it up');
    $good &= alike('app', 'state/app', '907 api 45',
                   'what was changed is kept');
    ok($t->wait_log(qr/\[notice\] .*gray: release "app" was changed at run time and keeps its revision 907, which differs from nginx\.conf; DELETE it to take up what is declared/),
       'the log says so');

    $weight{$_} = 16 for qw(app other);
    restart('another declaration, by a restart');
    $good &= alike('other', 'state/other', $was + 2 . ' nginx.conf 16',
                   'what nobody changed takes it up');
    $good &= alike('app', 'state/app', '907 api 45',
                   'what was changed is kept');
    ok($t->wait_log(qr/\[notice\] .*gray: release "app" was changed at run time and keeps its revision 907/),
       'the log says so');
    row('nginx.conf declares something else, by a reload and by a restart',
        'a release that was never changed takes it up, one that was is kept',
        $good);

    is($t->api('DELETE', '/gray/releases/app')->{status}, 200, 'DELETE');
    alike('app', 'state/app', '908 nginx.conf 16', 'what is declared now');

    $weight{app} = 17;
    restart('yet another one');
    alike('app', 'state/app', '909 nginx.conf 17', 'is taken up again');

    restart('nothing else');
    alike('app', 'state/app', '909 nginx.conf 17', 'and that is all');
    is(patch('app', 46), 910, 'it goes on');
}


# -- what is refused after all of ours is done

{
    journals_rest($t->dir . '/*');

    my $before = [ memory(), listing('state') ];
    my $busy = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1);
    my $port = $busy->sockport;
    my @good;

    $t->expect(qr/bind\(\) to 127\.0\.0\.1:$port failed/,
               qr/still could not bind\(\)/);

    for my $case ([ 'a port in use', sub { $more = "listen 127.0.0.1:$port;" },
                    qr/still could not bind\(\)/ ],
                  [ 'a second zone that is too small',
                    sub { $zone{second} = '64k'; $in{last} = 'second' },
                    qr/^gray_zone "second" is too small, it needs \d+k for what is declared$/ ],
                  [ 'a port in use, and another size',
                    sub { $more = "listen 127.0.0.1:$port;";
                          $zone{gray} = '6m state=state' },
                    qr/still could not bind\(\)/ ],
                  [ 'a port in use, and another directory and size',
                    sub { $more = "listen 127.0.0.1:$port;";
                          $zone{gray} = '6m state=third' },
                    qr/still could not bind\(\)/ ])
    {
        my ($what, $code, $message) = @$case;
        my %saved = (zone => { %zone }, in => { %in }, weight => { %weight });
        my $third = listing('third');

        # a release that comes, one that goes, one that says something else

        $in{come} = 'gray';
        delete $in{other};
        $weight{app} = 99;
        $code->();
        conf();

        ok($t->reload(refused => $message), "refused: $what");

        my $after = [ memory(), listing('state') ];

        is_deeply($after->[0], $before->[0], 'nothing was changed in memory');
        is_deeply($after->[1], $before->[1], 'nor in files');
        is_deeply(listing('third'), $third, 'nor in the other directory');

        push @good, 1 if Test::More->builder->is_passing;

        %zone = %{ $saved{zone} };
        %in = %{ $saved{in} };
        %weight = %{ $saved{weight} };
        $more = '';
    }

    row('a configuration that is refused once zones were made (a port in use, '
        . 'a second zone that is too small)',
        'memory and files are as they were, byte for byte', @good == 4);

    reload('as before');
    alike('app', 'state/app', '910 api 46', 'it goes on');
    is(patch('app', 47), 911, 'to the next revision');
}


# -- nginx -t

{
    journals_rest($t->dir . '/*');

    my $before = listing('state');
    my @texts = (text());

    {
        local $zone{gray} = '6m state=state';
        local $in{come} = 'gray';
        local $weight{other} = 44;
        push @texts, text();
    }

    for my $text (@texts) {
        my ($status, $said) = $t->test_config($text);

        is($status, 0, 'nginx -t') or diag($said);
    }

    my $good = eq_hash(listing('state'), $before);

    is_deeply(listing('state'), $before, 'has changed no file');

    # while there are writes: all of these are there, and nobody else's

    my $inode = (stat $t->dir . '/state/app.jsonl')[1];
    my $child = $t->child(sub {
        my @made = map { patch('app', 1 + $_ % 90) } 1 .. 60;

        $t->write_file('made', "@made.");
        POSIX::_exit(0);
    });

    my $tests = 0;

    until (-s $t->dir . '/made') {
        my ($status) = $t->test_config($texts[$tests++ % 2]);
        $good = 0 if $status != 0;
    }

    $t->reap($child);

    my @made = split ' ', $t->read_file('made') =~ s/\.$//r;

    is_deeply(\@made, [ 912 .. 971 ], "$tests times while there are writes");
    is(in_file('state/app'), "971 api 61", 'all are there');
    is_deeply([ sort keys %{ listing('state') } ], [ sort keys %$before ],
              'no other file is');
    is((stat $t->dir . '/state/app.jsonl')[4], $> == 0 ? $uid : $>,
       'of the same owner');

    row('`nginx -t`, also while another nginx writes', 'no file is changed',
        $good && @made == 60 && $made[-1] eq '971');
}

$t->done;
